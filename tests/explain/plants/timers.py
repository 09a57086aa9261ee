"""Timers far in the future.

holder: asyncio.get_running_loop()._scheduled
"""

import asyncio

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def later(request):
    asyncio.get_running_loop().call_later(1e9, print, bytes(600))  # LEAK
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/", later)])
