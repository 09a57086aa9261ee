"""Simulated time is tested without the plugin: a coroutine test gets its clock and its loop from here."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_memleak.simtime import SimulatedClock, SimulatedLoop, install

install()  # as the plugin does, before test modules and what they import capture clocks


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "clock(**arguments): arguments of the test's SimulatedClock")


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> Iterator[SimulatedClock]:
    """The clock of the test, entered on a SimulatedLoop around the body of a coroutine test."""
    marker = request.node.get_closest_marker("clock")
    clock = SimulatedClock(**(marker.kwargs if marker else {}))
    yield clock
    clock.leave()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    clock = pyfuncitem.funcargs.get("clock")
    if clock is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}

    async def body() -> Any:
        async with clock:
            await pyfuncitem.obj(**arguments)

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(body())
    return True
