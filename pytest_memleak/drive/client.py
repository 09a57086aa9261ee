"""The client of a check: httpx, in-process, starting the app's lifespan with its first request."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx

from pytest_memleak.drive.app import AppUnderTest

BASE_URL = "http://testserver"


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

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._app_under_test.start()
        return await super().handle_async_request(request)


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


def make_client(app: AppUnderTest, *, raise_app_exceptions: bool = True) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` on `app`, in this process and on this loop."""
    transport = InProcessTransport(app, raise_app_exceptions=raise_app_exceptions)
    return InProcessClient(transport=transport, base_url=BASE_URL)
