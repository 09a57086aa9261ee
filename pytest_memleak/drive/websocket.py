"""Websocket clients in this process: connect, exchange, close, or vanish without a word."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from pytest_memleak.drive.app import AppUnderTest, ClientLeft, Scope, comes_of_leaving
from pytest_memleak.drive.recorded import Message
from pytest_memleak.drive.traffic import Request, headers_of, numbered

_PATIENCE_S = 3600.0
"""Seconds (simulated) in which an app must answer, or end after its client has left."""
_VANISHED, _NORMAL = 1006, 1000


class ConnectionClosed(Exception):
    """The app refused or closed the connection; `code` is its close code.

    Args:
        code: the close code of the app.
        accepted: whether the connection was open before.
    """

    def __init__(self, code: int, *, accepted: bool) -> None:
        super().__init__(f"the app {'closed' if accepted else 'refused'} the websocket with code {code}")
        self.code = code
        self.accepted = accepted


class WebSocket:
    """The client's side of one connection; made by `connect`."""

    def __init__(self, app: AppUnderTest, scope: Scope) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._waits = asyncio.Event()
        self._accepted = self._left = False
        self._task = asyncio.create_task(self._run(app, scope), name="memleak websocket")

    async def send(self, message: str | bytes) -> None:
        """Send one message, and return when the app waits for the next one or has ended."""
        kind = "bytes" if isinstance(message, bytes) else "text"
        self._waits.clear()
        self._to_app.put_nowait({"type": "websocket.receive", kind: message})
        await self._until(self._waits.wait())

    async def send_json(self, message: object) -> None:
        """Send one message as JSON text."""
        await self.send(json.dumps(message))

    async def receive(self) -> str | bytes:
        """The next message of the app.

        Raises:
            ConnectionClosed: when the app has closed the connection instead.
        """
        message = await self._next()
        text, data = message.get("text"), message.get("bytes")
        return text if text is not None else data or b""

    async def receive_json(self) -> Any:
        """The next message of the app, from JSON."""
        return json.loads(await self.receive())

    async def close(self, code: int = _NORMAL) -> None:
        """Close the connection and wait until the app has ended with it; a second call does nothing.

        An app that has not ended after an hour of simulated time is cancelled.
        """
        if not self._left:
            self._left = True
            self._to_app.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        await asyncio.wait({self._task}, timeout=_PATIENCE_S)
        if not self._task.done():
            self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def vanish(self) -> None:
        """Leave without a close frame, as a client does whose network is gone."""
        await self.close(_VANISHED)

    async def _connect(self) -> None:
        self._to_app.put_nowait({"type": "websocket.connect"})
        message = await self._next()
        if message["type"] != "websocket.accept":
            raise ConnectionClosed(int(message.get("status", 403)), accepted=False)
        self._accepted = True

    async def _next(self) -> Message:
        message: Message | None = await self._until(self._from_app.get())
        if message is None:
            raise ConnectionClosed(_VANISHED, accepted=self._accepted)
        if message["type"] == "websocket.close":
            raise ConnectionClosed(message.get("code") or _NORMAL, accepted=self._accepted)
        return message

    async def _until(self, waiting: Any) -> Any:
        """The result of `waiting`, or None when the app has ended or takes too long."""
        wanted = asyncio.ensure_future(waiting)
        await asyncio.wait({wanted, self._task}, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if not wanted.done():
            await asyncio.sleep(0)  # the app's last message may have come in the same step
        if wanted.done():
            return wanted.result()
        wanted.cancel()
        return None

    async def _run(self, app: AppUnderTest, scope: Scope) -> None:
        async def receive() -> Message:
            if self._to_app.empty():
                self._waits.set()
            return await self._to_app.get()

        async def send(message: Message) -> None:
            if self._left:
                raise ClientLeft("the websocket client has left")  # as the ASGI specification has it
            if message["type"] != "websocket.http.response.body":
                self._from_app.put_nowait(message)

        await app(scope, receive, send)


@contextlib.asynccontextmanager
async def connect(
    app: AppUnderTest, path: str, *, headers: Mapping[str, str] | None = None, subprotocols: Sequence[str] = ()
) -> AsyncIterator[WebSocket]:
    """Open a websocket to `app` on this loop; it is closed at the end of the block.

    Args:
        app: the app; its lifespan is started when it is not.
        path: path and query.
        headers: further headers.
        subprotocols: those that the client speaks.

    Raises:
        ConnectionClosed: when the app refuses the connection.
    """
    await app.start()
    url = urlsplit(path)
    lines = {"host": "testserver", **(headers or {})}
    websocket = WebSocket(
        app,
        {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": unquote(url.path),
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()],
            "client": ("127.0.0.1", 123),
            "server": ("testserver", 80),
            "subprotocols": list(subprotocols),
            "extensions": {"websocket.http.response": {}},
        },
    )
    try:
        await websocket._connect()
        yield websocket
    finally:
        try:
            await websocket.close()
        except Exception as error:
            if not comes_of_leaving(error):
                raise


async def exchange(app: AppUnderTest, request: Request, n: int) -> httpx.Response:
    """One connection of a mix: connect, send the messages, close or vanish.

    Returns:
        a response with status 101, the status of a refusal, or 500 for an exception of the app.
    """
    status = 101
    try:
        async with connect(app, numbered(request.path, n), headers=headers_of(request, n)) as websocket:
            for message in numbered(list(request.messages), n):
                if request.slow_s:
                    await asyncio.sleep(request.slow_s)
                await websocket.send(message)
            if request.hang_up_after is not None:
                await websocket.vanish()
    except ConnectionClosed as closed:
        status = 101 if closed.accepted else closed.code if 400 <= closed.code < 600 else 403
    except Exception as error:
        status = 101 if comes_of_leaving(error) else 500  # as for any other request of a mix
    return httpx.Response(status)
