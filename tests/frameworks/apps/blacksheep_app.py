"""BlackSheep: a dependency injection container, a lifespan context."""

import httpx
from blacksheep import Application, Response, StreamedContent, WebSocket, get, text, ws

app = Application()
kept = []


@app.lifespan
async def client():
    async with httpx.AsyncClient(verify=False) as client:
        app.services.add_instance(client, httpx.AsyncClient)
        yield


@get("/healthy")
async def healthy():
    return text("ok")


@get("/leaky")
async def leaky():
    kept.append(bytearray(20_000))  # the leak
    return text("ok")


@get("/stream")
async def stream():
    async def chunks():
        for _ in range(10):
            yield b"x" * 1_000

    return Response(200, content=StreamedContent(b"text/plain", chunks))


@get("/injected")
async def injected(client: httpx.AsyncClient):
    return text(str(client.is_closed))


@get("/unclosed")
async def unclosed():
    client = httpx.AsyncClient(verify=False)  # the open client
    return text(str(client.is_closed))


@ws("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()
