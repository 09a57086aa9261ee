"""Sanic in its ASGI mode: listeners, streaming with `response.send`, tasks of the app."""

import httpx
from sanic import Sanic, text

app = Sanic("memleak_test", configure_logging=False)
kept = []
worked = 0


@app.before_server_start
async def start(app):
    app.ctx.client = httpx.AsyncClient(verify=False)


@app.after_server_stop
async def stop(app):
    await app.ctx.client.aclose()


@app.get("/healthy")
async def healthy(request):
    return text("ok")


@app.get("/leaky")
async def leaky(request):
    kept.append(bytearray(20_000))  # the leak
    return text("ok")


@app.get("/stream")
async def stream(request):
    response = await request.respond()
    for _ in range(10):
        await response.send(b"x" * 1_000)
    await response.eof()


async def work():
    global worked
    worked += 1


@app.get("/background")
async def background(request):
    request.app.add_task(work())
    return text("ok")


@app.get("/injected")
async def injected(request):
    return text(str(request.app.ctx.client.is_closed))


@app.get("/unclosed")
async def unclosed(request):
    client = httpx.AsyncClient(verify=False)  # the open client
    return text(str(client.is_closed))


@app.websocket("/echo")
async def echo(request, socket):
    await socket.send(await socket.recv())
