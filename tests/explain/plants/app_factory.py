"""An app made by a factory: no module refers to it.

holder: store in app_factory.create_app.<locals>.save
"""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


def create_app():
    store = []

    async def save(request):
        store.append(bytes(500))  # LEAK
        return PlainTextResponse("saved")

    return Starlette(routes=[Route("/", save)])
