"""A background worker that keeps what it handled in a local variable.

holder: done, local of worker_local.worker
"""

import asyncio

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

inbox = asyncio.Queue()


async def worker():
    done = []
    while True:
        job = await inbox.get()
        done.append(job)


async def startup():
    app.state.worker = asyncio.create_task(worker())


async def submit(request):
    await inbox.put(bytes(800))  # LEAK
    await asyncio.sleep(0)
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/", submit)])
