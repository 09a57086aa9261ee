"""Mixes of requests: what `memleak.send` sends in one iteration."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_memleak.drive.app import DriveError

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One kind of request in a mix.

    Args:
        method: the HTTP method.
        path: path and query.
        weight: how often, relative to the others.
        json: the JSON body, or None for no body.
    """

    method: str
    path: str
    weight: int = 1
    json: Any = None


def parse_mix(mix: Sequence[Any]) -> tuple[Operation, ...]:
    """Operations from ``(method, path)``, ``(method, path, weight)`` or ``(method, path, weight, json)``.

    Raises:
        DriveError: for anything else.
    """
    operations = []
    for entry in mix:
        if isinstance(entry, str) or not isinstance(entry, Sequence) or not 2 <= len(entry) <= 4:
            raise DriveError(f"{entry!r} is not a request: write (method, path[, weight[, json]])")
        if not (isinstance(entry[0], str) and isinstance(entry[1], str)):
            raise DriveError(f"{entry!r} is not a request: method and path are texts, like ('GET', '/health')")
        method, path, weight, body = [*entry, 1, None] if len(entry) == 2 else [*entry, None][:4]
        if not isinstance(weight, int) or weight < 1:
            raise DriveError(f"the weight of {method} {path} must be a whole number of 1 or more, not {weight!r}")
        operations.append(Operation(method=method, path=path, weight=weight, json=body))
    if not operations:
        raise DriveError("the mix is empty: give at least one (method, path)")
    return tuple(operations)


class Rotation:
    """An endless sequence of indices in which each comes as often as its weight says.

    Smooth weighted round robin: even within an iteration and exact over the run, without chance.
    """

    def __init__(self, weights: tuple[int, ...]) -> None:
        self._weights = weights
        self._credit = [0] * len(weights)

    def __next__(self) -> int:
        self._credit = [credit + weight for credit, weight in zip(self._credit, self._weights, strict=True)]
        chosen = max(range(len(self._credit)), key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._weights)
        return chosen


async def send(
    client: httpx.AsyncClient,
    operations: Sequence[Operation],
    rotation: Rotation,
    *,
    count: int,
    concurrency: int,
) -> list[httpx.Response]:
    """Send `count` requests, at most `concurrency` at a time; the responses in order.

    Raises:
        DriveError: when `count` or `concurrency` is below 1.
    """
    for name, value in (("count", count), ("concurrency", concurrency)):
        if value < 1 or value != int(value):
            raise DriveError(f"{name}={value!r} must be a whole number of 1 or more")
    chosen = [operations[next(rotation)] for _ in range(count)]
    if concurrency == 1:
        return [await _request(client, operation) for operation in chosen]
    responses: list[httpx.Response] = []
    for start in range(0, count, concurrency):
        batch = chosen[start : start + concurrency]
        responses += await asyncio.gather(*(_request(client, operation) for operation in batch))
    return responses


async def _request(client: httpx.AsyncClient, operation: Operation) -> httpx.Response:
    return await client.request(operation.method, operation.path, json=operation.json)
