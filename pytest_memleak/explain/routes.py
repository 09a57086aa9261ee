"""With mixed traffic: which route leaves memory behind."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Mapping

from pytest_memleak.explain import wording
from pytest_memleak.explain.watch import Step, out_of_sight
from pytest_memleak.model import RouteGrowth

Replay = Callable[[], Awaitable[object]]
RecordRoutes = Callable[[Step], Awaitable[Mapping[str, Replay]]]
"""Runs some iterations; gives for each route what sends a request like its last one."""

SETTLE_REQUESTS = 4
ROUTE_REQUESTS = 16


async def rank_routes(routes: Mapping[str, Replay], live: Callable[[], float] | None = None) -> tuple[RouteGrowth, ...]:
    """Replay each route alone and rank them by what one request leaves behind.

    Args:
        routes: what sends one more request, per route.
        live: reads live bytes; without it tracemalloc counts, which does not see native memory.

    Returns:
        The routes, the worst first. Two stretches are measured and the smaller counts, so that a
        buffer growing once does not accuse a route.
    """
    started = live is None and not tracemalloc.is_tracing()
    if started:
        tracemalloc.start(1)
    read = live or (lambda: tracemalloc.get_traced_memory()[0])
    try:
        with out_of_sight():
            grown = [RouteGrowth(route=name, bytes_per_request=await _per_request(replay, read))
                     for name, replay in routes.items()]  # fmt: skip
    finally:
        if started:
            tracemalloc.stop()
    return tuple(sorted(grown, key=lambda entry: (-entry.bytes_per_request, entry.route)))


async def _per_request(replay: Replay, read: Callable[[], float]) -> float:
    for _ in range(SETTLE_REQUESTS):
        await replay()
    growth = []
    for _ in range(2):
        gc.collect()
        before = read()
        for _ in range(ROUTE_REQUESTS // 2):
            await replay()
        gc.collect()
        growth.append((read() - before) / (ROUTE_REQUESTS // 2))
    return max(0.0, min(growth))


def routes_note(ranked: tuple[RouteGrowth, ...]) -> str:
    """The ranking in one sentence, with what it cannot see."""
    rows = [
        f"{entry.route} {wording.size(entry.bytes_per_request)}" for entry in ranked if entry.bytes_per_request >= 1
    ]
    if rows:
        return f"growth per request by route: {', '.join(rows[:3])} {_HOW}"
    return f"no route grows by itself {_HOW}: what differs otherwise between requests does, or what runs beside them"


_HOW = "(one request of each repeated alone, the numbers in it counting on as in the test)"
