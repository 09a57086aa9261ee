"""An asyncio queue nobody reads.

holder: asyncio_queue.OUTBOX
"""

import asyncio

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

OUTBOX = asyncio.Queue()


async def notify(request):
    await OUTBOX.put(f"{len(OUTBOX._queue):>500}")  # LEAK
    return PlainTextResponse("queued")


app = Starlette(routes=[Route("/", notify)])
