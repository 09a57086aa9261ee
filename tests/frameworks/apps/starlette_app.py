"""Starlette: the lifespan's state holds the client."""

import contextlib

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

kept = []
worked = 0


@contextlib.asynccontextmanager
async def lifespan(app):
    async with httpx.AsyncClient(verify=False) as client:
        yield {"client": client}


async def healthy(request):
    return PlainTextResponse("ok")


async def leaky(request):
    kept.append(bytearray(20_000))  # the leak
    return PlainTextResponse("ok")


async def stream(request):
    async def chunks():
        for _ in range(10):
            yield b"x" * 1_000

    return StreamingResponse(chunks())


async def work():
    global worked
    worked += 1


async def background(request):
    return PlainTextResponse("ok", background=BackgroundTask(work))


async def leaky_background(request):
    return PlainTextResponse("ok", background=BackgroundTask(kept.append, bytearray(20_000)))  # the leak behind


async def injected(request):
    assert not request.state.client.is_closed
    return PlainTextResponse("ok")


async def unclosed(request):
    client = httpx.AsyncClient(verify=False)  # the open client
    return PlainTextResponse(str(client.is_closed))


async def echo(websocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


async def leaky_echo(websocket):
    await websocket.accept()
    kept.append(bytearray(20_000))  # the leak in the socket
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


views = (healthy, leaky, stream, background, leaky_background, injected, unclosed)
routes = [
    *(Route(f"/{view.__name__}", view) for view in views),
    WebSocketRoute("/echo", echo),
    WebSocketRoute("/leaky_echo", leaky_echo),
]
app = Starlette(routes=routes, lifespan=lifespan)
