"""Listeners that are never removed: bound methods of short-lived objects.

holder: event_listeners.bus.listeners["created"]
"""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


class Bus:
    def __init__(self):
        self.listeners = {"created": []}

    def on(self, event, listener):
        self.listeners[event].append(listener)


bus = Bus()


class View:
    def __init__(self):
        self.rows = bytes(900)  # LEAK
        bus.on("created", self.refresh)

    def refresh(self):
        return len(self.rows)


async def show(request):
    View()
    return PlainTextResponse("shown")


app = Starlette(routes=[Route("/", show)])
