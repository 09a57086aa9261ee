"""One request as the app received it, to be sent to it again."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from itertools import count
from typing import Any, TypeVar

Message = MutableMapping[str, Any]
Replay = Callable[[], Awaitable[None]]

_KEPT = ("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path",
         "headers", "client", "server")  # fmt: skip

_NUMBER = re.compile(r"([0-9]{1,18})")
_Value = TypeVar("_Value")


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

    def replay(self, earlier: RecordedRequest) -> Replay:
        """What sends the request again, each time as a new one.

        Args:
            earlier: a request like this one, of an iteration before: the numbers that are larger now count on.

        Returns:
            the sending; the response goes nowhere, the app's exception too.
        """
        calls = count(1)

        async def send_again() -> None:
            by = next(calls)
            scope, body = counted_on(earlier._scope, self._scope, by), counted_on(earlier._body, self._body, by)
            await self._send({**scope, "headers": _with_length(scope.get("headers", ()), body)}, body)

        return send_again

    async def _send(self, scope: dict[str, Any], body: list[Message]) -> None:
        messages = iter(body)

        async def receive() -> Message:
            return next(messages, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            pass

        try:
            await self._app(scope, receive, send)
        except Exception:
            return  # a request that fails grows memory like any other, and was counted as failed


def replays_of(earlier: Mapping[str, RecordedRequest], later: Mapping[str, RecordedRequest]) -> dict[str, Replay]:
    """For each route of the `later` iteration, what sends its request again as a new one.

    Where the framework tells no templates, each path is a route: those of one iteration only are one route
    when they differ in numbers alone.
    """
    once = {_NUMBER.sub("{n}", route): request for route, request in earlier.items() if route not in later}
    replays = {}
    for route, request in later.items():
        name = route if route in earlier else _NUMBER.sub("{n}", route)
        replays[name] = request.replay(earlier.get(route) or once.get(name, request))
    return replays


def counted_on(earlier: object, later: _Value, by: int) -> _Value:
    """`later` with `by` added to every number in its texts that is larger than in `earlier`, at any depth.

    What differs otherwise, a UUID say, stays as it is.
    """
    changed: Any = later
    if isinstance(later, str) and isinstance(earlier, str):
        old, new = _NUMBER.split(earlier), _NUMBER.split(later)
        if old[::2] == new[::2]:
            grown = (i % 2 and int(part) > int(old[i]) for i, part in enumerate(new))
            changed = "".join(
                str(int(n) + by).zfill(len(n)) if grows else n for n, grows in zip(new, grown, strict=True)
            )
    elif isinstance(later, bytes) and isinstance(earlier, bytes):
        changed = counted_on(earlier.decode("latin-1"), later.decode("latin-1"), by).encode("latin-1")
    elif isinstance(later, Mapping) and isinstance(earlier, Mapping):
        changed = {key: counted_on(earlier.get(key), value, by) for key, value in later.items()}
    elif isinstance(later, list | tuple) and isinstance(earlier, list | tuple) and len(earlier) == len(later):
        changed = [counted_on(before, value, by) for before, value in zip(earlier, later, strict=True)]
    return changed  # type: ignore[no-any-return]


def _with_length(headers: Any, body: list[Message]) -> list[tuple[bytes, bytes]]:
    """The headers with the length that the body has now."""
    length = str(sum(len(message.get("body", b"")) for message in body)).encode()
    return [(name, length if name.lower() == b"content-length" else value) for name, value in headers]
