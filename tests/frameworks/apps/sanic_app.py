"""Sanic in its ASGI mode: listeners, streaming with `response.send`, tasks of the app.

Sanic keeps signals and routes in the process: a second app, or a second start, is refused.
"""

import httpx
from sanic import Sanic, text

kept = []
worked = 0
app = Sanic("memleak_test", configure_logging=False)


async def start(app):
    app.ctx.client = httpx.AsyncClient(verify=False)


async def stop(app):
    await app.ctx.client.aclose()


async def healthy(request):
    return text("ok")


async def leaky(request):
    kept.append(bytearray(20_000))  # the leak
    return text("ok")


async def stream(request):
    response = await request.respond()
    for _ in range(10):
        await response.send(b"x" * 1_000)
    await response.eof()


async def work():
    global worked
    worked += 1


async def background(request):
    request.app.add_task(work())
    return text("ok")


async def injected(request):
    return text(str(request.app.ctx.client.is_closed))


app.before_server_start(start)
app.after_server_stop(stop)
for view in (healthy, leaky, stream, background, injected):
    app.add_route(view, f"/{view.__name__}")
