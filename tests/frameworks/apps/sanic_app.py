"""Sanic in its ASGI mode: listeners, streaming with `response.send`, tasks of the app."""

import itertools

import httpx
from sanic import Sanic, text

kept = []
worked = 0
numbers = itertools.count()


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


async def unclosed(request):
    client = httpx.AsyncClient(verify=False)  # the open client
    return text(str(client.is_closed))


async def echo(request, socket):
    await socket.send(await socket.recv())


def make_app():
    """A new app for each test: one that was stopped cannot be started again."""
    app = Sanic(f"memleak_{next(numbers)}", configure_logging=False)
    app.before_server_start(start)
    app.after_server_stop(stop)
    for view in (healthy, leaky, stream, background, injected, unclosed):
        app.add_route(view, f"/{view.__name__}")
    app.add_websocket_route(echo, "/echo")
    return app
