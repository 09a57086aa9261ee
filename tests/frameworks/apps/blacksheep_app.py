"""BlackSheep: a dependency injection container, a lifespan context."""

import httpx
from blacksheep import Application, Response, StreamedContent, WebSocket, text

kept = []


async def healthy():
    return text("ok")


async def leaky():
    kept.append(bytearray(20_000))  # the leak
    return text("ok")


async def stream():
    async def chunks():
        for _ in range(10):
            yield b"x" * 1_000

    return Response(200, content=StreamedContent(b"text/plain", chunks))


async def injected(client: httpx.AsyncClient):
    return text(str(client.is_closed))


async def unclosed():
    client = httpx.AsyncClient(verify=False)  # the open client
    return text(str(client.is_closed))


async def echo(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


def make_app():
    """A new app for each test: one that was stopped cannot be started again."""
    app = Application()

    @app.lifespan
    async def client():
        async with httpx.AsyncClient(verify=False) as client:
            app.services.add_instance(client, httpx.AsyncClient)
            yield

    for view in (healthy, leaky, stream, injected, unclosed):
        app.router.add_get(f"/{view.__name__}", view)
    app.router.add_ws("/echo", echo)
    return app
