"""With mixed traffic: which route leaves memory behind."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Mapping

from pytest_memleak.explain import wording
from pytest_memleak.explain.watch import out_of_sight
from pytest_memleak.model import RouteGrowth

Replay = Callable[[], Awaitable[object]]

SETTLE_REQUESTS = 4
ROUTE_REQUESTS = 16


async def rank_routes(routes: Mapping[str, Replay], live: Callable[[], float] | None = None) -> tuple[RouteGrowth, ...]:
    """Replay each route alone and rank them by what one request leaves behind.

    Args:
        routes: one replayed request per route.
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


def routes_note(ranked: tuple[RouteGrowth, ...]) -> str | None:
    """The ranking in one sentence; None when no route grows."""
    suspects = [entry for entry in ranked if entry.bytes_per_request >= 1]
    if not suspects:
        return None
    rows = [f"{entry.route} {wording.size(entry.bytes_per_request)}" for entry in suspects[:3]]
    return "growth per request by route: " + ", ".join(rows)
