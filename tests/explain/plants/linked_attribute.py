"""A history of states, linked, held by an attribute of a module's object.

holder: linked_attribute.machine.state
"""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


class State:
    __slots__ = ("data", "previous")

    def __init__(self, previous):
        self.previous = previous
        self.data = bytearray(400)  # LEAK


class Machine:
    state = None

    def advance(self):
        self.state = State(self.state)


machine = Machine()


async def advance(request):
    machine.advance()
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/", advance)])
