"""A cache deep in a container of services.

holder: nested_service.container.services["users"].cache
"""

import itertools

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

numbers = itertools.count()


class Users:
    def __init__(self):
        self.cache = {}

    def find(self, number):
        return self.cache.setdefault(number, {"id": number, "tags": ["a", "b"]})  # LEAK


class Container:
    def __init__(self):
        self.services = {"users": Users()}


container = Container()


async def find(request):
    container.services["users"].find(next(numbers))
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/", find)])
