"""The client of a check: httpx, in-process, starting the app's lifespan with its first request."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import httpx

from pytest_memleak.drive.app import AppUnderTest, ASGIApp, ClientLeft, Receive, Scope, Send
from pytest_memleak.drive.recorded import Message
from pytest_memleak.drive.traffic import SHAPE, Request

BASE_URL = "http://testserver"
_MOST_UNHEARD = 100
"""Messages an app may send to a client that hung up before it is stopped: a server drops them in silence."""


class InProcessTransport(httpx.ASGITransport):
    """httpx's ASGI transport on an app whose lifespan starts with the first request.

    Args:
        app: the app.
        raise_app_exceptions: raise the app's unhandled exceptions into the caller, as httpx does,
            or answer them with a 500 response.
    """

    def __init__(self, app: AppUnderTest, *, raise_app_exceptions: bool = True) -> None:
        super().__init__(app=app, raise_app_exceptions=raise_app_exceptions)
        self._app_under_test = app

    def handle_async_request(self, request: httpx.Request) -> Coroutine[Any, Any, httpx.Response]:
        if self._app_under_test.started and SHAPE not in request.extensions:
            return super().handle_async_request(request)
        return self._handle_rarely(request)

    async def _handle_rarely(self, request: httpx.Request) -> httpx.Response:
        """The first request, and one with a shape of its own."""
        await self._app_under_test.start()
        shape = request.extensions.get(SHAPE)
        if shape is None:
            return await super().handle_async_request(request)
        app = _shaped(self._app_under_test, shape)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=self.raise_app_exceptions)
        return await transport.handle_async_request(request)


class InProcessClient(httpx.AsyncClient):
    """A client that lives as long as the run: `async with` in a body, one iteration of many, does not close it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        pass


def make_client(
    app: AppUnderTest, *, raise_app_exceptions: bool = True, keeps_cookies: bool = True
) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` on `app`, in this process and on this loop.

    Args:
        app: the app.
        raise_app_exceptions: see `InProcessTransport`.
        keeps_cookies: off makes every request that of a new client.
    """
    transport = InProcessTransport(app, raise_app_exceptions=raise_app_exceptions)
    cookies = None if keeps_cookies else CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return InProcessClient(transport=transport, base_url=BASE_URL, cookies=cookies)


def _shaped(app: ASGIApp, shape: Request) -> ASGIApp:
    """`app` as it meets a client that is slow or hangs up."""

    async def meet(scope: Scope, receive: Receive, send: Send) -> None:
        left, chunks, unheard = False, 0, 0

        async def slow_receive() -> Message:
            if shape.slow_s and not left:
                await asyncio.sleep(shape.slow_s)
            message: Message = {} if left else await receive()
            return {"type": "http.disconnect"} if left else message

        async def cut_send(message: Message) -> None:
            nonlocal left, chunks, unheard
            if left:
                unheard += 1
                if unheard > _MOST_UNHEARD:
                    raise ClientLeft("the client has hung up")
                await asyncio.sleep(0)
                return
            if message["type"] == "http.response.body":
                if shape.slow_s:
                    await asyncio.sleep(shape.slow_s)
                chunks += bool(message.get("body"))
                if message.get("more_body") and chunks == shape.hang_up_after:
                    left, message = True, {**message, "more_body": False}  # the client's side is over
            await send(message)

        await app(scope, slow_receive, cut_send)

    return meet
