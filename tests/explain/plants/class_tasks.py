"""Background tasks that never end, kept in a class attribute.

holder: class_tasks.Service.tasks
"""

import asyncio

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


class Service:
    tasks = set()


async def poll():
    await asyncio.Event().wait()  # LEAK


async def start(request):
    Service.tasks.add(asyncio.create_task(poll()))  # LEAK
    await asyncio.sleep(0)
    return PlainTextResponse("started")


app = Starlette(routes=[Route("/", start)])
