"""Tasks that wait for ever in a TaskGroup of app.state.

holder: task_group.app.state.group._tasks
"""

import asyncio

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def startup():
    app.state.group = asyncio.TaskGroup()
    await app.state.group.__aenter__()


async def watch(data):
    await asyncio.Event().wait()  # LEAK


async def start(request):
    app.state.group.create_task(watch(bytes(2000)))  # LEAK
    await asyncio.sleep(0)
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/", start)])
