"""One request as the app received it, to be sent to it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Replay = Callable[[], Awaitable[None]]

_KEPT = ("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path",
         "headers", "client", "server")  # fmt: skip


class RecordedRequest:
    """Records a request while the app reads it.

    Args:
        app: where it goes, at the boundary.
        scope: of the request; what the app adds to it later is not kept.
        receive: of the request; use the recorder's own in its place.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
    ) -> None:
        self._app = app
        self._scope = {key: scope[key] for key in _KEPT if key in scope}
        self._receive = receive
        self._body: list[Message] = []

    async def receive(self) -> Message:
        """The next message of the client, kept."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._body.append(dict(message))
        return message

    async def replay(self) -> None:
        """Send the request again; the response goes nowhere, the app's exception too."""
        messages = iter(self._body)

        async def receive() -> Message:
            return next(messages, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            pass

        try:
            await self._app(dict(self._scope), receive, send)
        except Exception:
            return  # a request that fails grows memory like any other, and was counted as failed
