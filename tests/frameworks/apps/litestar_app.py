"""Litestar: dependencies by name, a lifespan context, background tasks on responses."""

import contextlib

import httpx
from litestar import Litestar, Response, WebSocket, get, websocket
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import Provide
from litestar.response import Stream

kept = []
worked = 0


@contextlib.asynccontextmanager
async def lifespan(app):
    async with httpx.AsyncClient(verify=False) as app.state.client:
        yield


async def shared_client(state: State) -> httpx.AsyncClient:
    return state.client


async def unclosed_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=False)  # the open client


@get("/healthy")
async def healthy() -> str:
    return "ok"


@get("/leaky")
async def leaky() -> str:
    kept.append(bytearray(20_000))  # the leak
    return "ok"


@get("/stream")
async def stream() -> Stream:
    async def chunks():
        for _ in range(10):
            yield b"x" * 1_000

    return Stream(chunks())


async def work() -> None:
    global worked
    worked += 1


@get("/background")
async def background() -> Response[str]:
    return Response("ok", background=BackgroundTask(work))


@get("/injected", dependencies={"client": Provide(shared_client)})
async def injected(client: httpx.AsyncClient) -> str:
    return str(client.is_closed)


@get("/unclosed", dependencies={"client": Provide(unclosed_client)})
async def unclosed(client: httpx.AsyncClient) -> str:
    return str(client.is_closed)


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


@websocket("/leaky_echo")
async def leaky_echo(socket: WebSocket) -> None:
    await socket.accept()
    kept.append(bytearray(20_000))  # the leak in the socket
    await socket.send_text(await socket.receive_text())
    await socket.close()


handlers = [healthy, leaky, stream, background, injected, unclosed, echo, leaky_echo]
app = Litestar(handlers, lifespan=[lifespan])
