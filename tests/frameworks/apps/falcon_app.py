"""Falcon over ASGI: resources, middleware with start-up and shutdown, scheduled coroutines."""

import falcon.asgi
import httpx

kept = []
worked = 0


class Client:
    """Opened and closed with the app."""

    async def process_startup(self, scope, event):
        self.client = httpx.AsyncClient(verify=False)

    async def process_shutdown(self, scope, event):
        await self.client.aclose()

    async def process_request(self, request, response):
        request.context.client = self.client


class Healthy:
    async def on_get(self, request, response):
        response.text = "ok"


class Leaky:
    async def on_get(self, request, response):
        kept.append(bytearray(20_000))  # the leak
        response.text = "ok"


class Stream:
    async def on_get(self, request, response):
        async def chunks():
            for _ in range(10):
                yield b"x" * 1_000

        response.stream = chunks()


async def work():
    global worked
    worked += 1


class Background:
    async def on_get(self, request, response):
        response.schedule(work)
        response.text = "ok"


class Injected:
    async def on_get(self, request, response):
        response.text = str(request.context.client.is_closed)


class Unclosed:
    async def on_get(self, request, response):
        client = httpx.AsyncClient(verify=False)  # the open client
        response.text = str(client.is_closed)


class Echo:
    async def on_websocket(self, request, socket):
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()


class LeakyEcho:
    async def on_websocket(self, request, socket):
        await socket.accept()
        kept.append(bytearray(20_000))  # the leak in the socket
        await socket.send_text(await socket.receive_text())
        await socket.close()


app = falcon.asgi.App(middleware=[Client()])
for resource in (Healthy, Leaky, Stream, Background, Injected, Unclosed, Echo):
    app.add_route(f"/{resource.__name__.lower()}", resource())
app.add_route("/leaky_echo", LeakyEcho())
