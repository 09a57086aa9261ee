"""Mixes of requests: what `memleak.send` sends in one iteration."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_memleak.drive.app import DriveError

if TYPE_CHECKING:
    import httpx

WEBSOCKET = "WEBSOCKET"
SHAPE = "memleak.shape"
"""The extension of an httpx request that carries how its client behaves."""

_NUMBER = re.compile(r"\{n(?::(\d+))?\}")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request in a mix.

    ``{n}`` in the path, a header, a cookie, the body or a message becomes a number that no other request of
    the run has; ``{n:12}`` pads it with zeros to 12 digits.

    Args:
        method: the HTTP method, or ``WEBSOCKET`` for a connection.
        path: path and query.
        weight: how often, relative to the others.
        json: the JSON body, or None for no body.
        content: the body as it is; several chunks are streamed one by one.
        headers: further headers.
        cookies: cookies of this request alone; they take the place of those that the client keeps.
        messages: what a websocket client sends, one after the other.
        hang_up_after: chunks of the response after which the client hangs up; a websocket client that has any
            vanishes without a close. None reads everything and closes.
        slow_s: seconds (simulated) that the client takes for each chunk it sends or reads.
    """

    method: str
    path: str
    _: KW_ONLY
    weight: int = 1
    json: Any = None
    content: bytes | str | Sequence[bytes] | None = None
    headers: Mapping[str, str] | None = None
    cookies: Mapping[str, str] | None = None
    messages: Sequence[str | bytes] = ()
    hang_up_after: int | None = None
    slow_s: float = 0.0

    def __post_init__(self) -> None:
        what = f"{self.method} {self.path}"
        weight: object = self.weight
        if not isinstance(weight, int) or weight < 1:
            raise DriveError(f"the weight of {what} must be a whole number of 1 or more, not {weight!r}")
        if self.json is not None and self.content is not None:
            raise DriveError(f"{what} has both json and content; a request has one body")
        if self.hang_up_after is not None and self.hang_up_after < 1:
            raise DriveError(f"{what}: hang_up_after={self.hang_up_after} must be 1 chunk or more")

    @property
    def is_shaped(self) -> bool:
        """Whether its client does anything but send at once and read to the end."""
        return self.hang_up_after is not None or self.slow_s > 0


def parse_mix(mix: Sequence[Any]) -> tuple[Request, ...]:
    """Requests from ``(method, path)``, ``(method, path, weight)``, ``(method, path, weight, json)`` or `Request`.

    Raises:
        DriveError: for anything else.
    """
    requests = tuple(entry if isinstance(entry, Request) else _parse(entry) for entry in mix)
    if not requests:
        raise DriveError("the mix is empty: give at least one (method, path)")
    return requests


def _parse(entry: Any) -> Request:
    if isinstance(entry, str) or not isinstance(entry, Sequence) or not 2 <= len(entry) <= 4:
        raise DriveError(f"{entry!r} is not a request: write (method, path[, weight[, json]])")
    if not (isinstance(entry[0], str) and isinstance(entry[1], str)):
        raise DriveError(f"{entry!r} is not a request: method and path are texts, like ('GET', '/health')")
    method, path, weight, body = [*entry, 1, None] if len(entry) == 2 else [*entry, None][:4]
    return Request(method, path, weight=weight, json=body)


def numbered(value: _Value, n: int) -> _Value:
    """`value` with `n` in the place of every ``{n}``, in texts and bytes at any depth."""
    changed: Any = value
    if isinstance(value, str):
        changed = _NUMBER.sub(lambda found: str(n).zfill(int(found[1] or 0)), value) if "{n" in value else value
    elif isinstance(value, bytes):
        changed = numbered(value.decode("latin-1"), n).encode("latin-1") if b"{n" in value else value
    elif isinstance(value, Mapping):
        changed = {numbered(key, n): numbered(inner, n) for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        changed = [numbered(inner, n) for inner in value]
    return changed  # type: ignore[no-any-return]


class Rotation:
    """An endless sequence of indices in which each comes as often as its weight says.

    Smooth weighted round robin: even within an iteration and exact over the run, without chance.
    """

    def __init__(self, weights: tuple[int, ...]) -> None:
        self._weights = weights
        self._credit = [0] * len(weights)
        self._equal = len(set(weights)) == 1
        self._next = -1

    def __next__(self) -> int:
        if self._equal:  # as below, without the search through a replay of thousands
            self._next = (self._next + 1) % len(self._weights)
            return self._next
        self._credit = [credit + weight for credit, weight in zip(self._credit, self._weights, strict=True)]
        chosen = max(range(len(self._credit)), key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._weights)
        return chosen


async def send(
    requests: Sequence[Request], sent_by: Callable[[Request], Awaitable[httpx.Response]], *, concurrency: int
) -> list[httpx.Response]:
    """Send `requests`, at most `concurrency` at a time; the responses in order.

    Args:
        requests: what to send.
        sent_by: sends one.
        concurrency: how many at the same time.
    """
    if concurrency == 1:
        return [await sent_by(request) for request in requests]
    responses: list[httpx.Response] = []
    for start in range(0, len(requests), concurrency):
        responses += await asyncio.gather(*map(sent_by, requests[start : start + concurrency]))
    return responses


async def send_one(client: httpx.AsyncClient, request: Request, n: int) -> httpx.Response:
    """Send one HTTP request through `client`, as number `n`."""
    content = numbered(request.content, n)
    return await client.request(
        request.method,
        numbered(request.path, n),
        json=numbered(request.json, n),
        content=_streamed(content) if isinstance(content, list) else content,
        headers=headers_of(request, n),
        extensions={SHAPE: request} if request.is_shaped else None,
    )


def headers_of(request: Request, n: int) -> dict[str, str]:
    """The headers of a request as number `n`, its cookies among them."""
    headers = numbered(dict(request.headers or {}), n)
    if request.cookies:
        headers["cookie"] = "; ".join(f"{name}={value}" for name, value in numbered(request.cookies, n).items())
    return headers


async def _streamed(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
