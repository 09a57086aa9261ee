"""Requests kept for later, with all that hangs on them.

holder: request_state.RECENT
"""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

RECENT = []


async def handle(request):
    request.state.payload = bytes(4000)  # LEAK
    RECENT.append(request)
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/", handle)])
