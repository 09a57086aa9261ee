"""Quart: before_serving and after_serving, background tasks of the app, generators as responses."""

import httpx
from quart import Quart, websocket

app = Quart(__name__)
kept = []
worked = 0


# `while_serving` would serve one lifespan only: Quart makes its generators once.
@app.before_serving
async def start():
    app.client = httpx.AsyncClient(verify=False)


@app.after_serving
async def stop():
    await app.client.aclose()


@app.get("/healthy")
async def healthy():
    return "ok"


@app.get("/leaky")
async def leaky():
    kept.append(bytearray(20_000))  # the leak
    return "ok"


@app.get("/stream")
async def stream():
    async def chunks():
        for _ in range(10):
            yield b"x" * 1_000

    return chunks()


async def work():
    global worked
    worked += 1


@app.get("/background")
async def background():
    app.add_background_task(work)
    return "ok"


@app.get("/injected")
async def injected():
    return str(app.client.is_closed)


@app.get("/unclosed")
async def unclosed():
    client = httpx.AsyncClient(verify=False)  # the open client
    return str(client.is_closed)


@app.websocket("/echo")
async def echo():
    await websocket.send(await websocket.receive())


@app.websocket("/leaky_echo")
async def leaky_echo():
    kept.append(bytearray(20_000))  # the leak in the socket
    await websocket.send(await websocket.receive())
