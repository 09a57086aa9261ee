"""Driving a scenario without any tool: start its app, send its requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import httpx

from benchmarks.scenarios import Scenario

WARM_UP = 30
MEASURED = 480


@contextlib.contextmanager
def served(scenario: Scenario) -> Iterator[Callable[[], None]]:
    """The app, started on a loop of its own, as a plain function of one iteration."""
    app = scenario.build()
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://testserver")
        runner.run(app.startup())
        yield lambda: runner.run(scenario.step(client))
        runner.run(app.shutdown())
        runner.run(client.aclose())


def repeat(step: Callable[[], None], times: int) -> None:
    """That many iterations."""
    for _ in range(times):
        step()
