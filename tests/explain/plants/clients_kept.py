"""HTTP clients that are made per request and kept.

holder: clients_kept.CLIENTS
"""

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

CLIENTS = []


async def call(request):
    CLIENTS.append(httpx.AsyncClient())  # LEAK
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/", call)])
