"""Which clock a run goes by: simulated on its loop, simulated without a loop, or the real one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from pytest_memleak.drive.iterate import Clock, RealClock
from pytest_memleak.settings import Settings
from pytest_memleak.simtime import SimulatedClock


@contextlib.asynccontextmanager
async def entered_clock(settings: Settings) -> AsyncIterator[Clock]:
    """Enter the clock that `settings` ask for, and leave it again.

    Raises:
        SimulatedTimeError: when time cannot be simulated here; the message says the remedy.
    """
    if not settings.simulate_time:
        yield RealClock()
        return
    clock = SimulatedClock(resolution=settings.resolution_s)
    if _runs_on_loop():
        async with clock:
            yield clock
    else:
        with clock:
            yield clock


async def advance_to(clock: Clock, seconds: float) -> None:
    """Let simulated time pass up to `seconds` after the clock was entered."""
    if isinstance(clock, SimulatedClock):
        if _runs_on_loop():
            await clock.advance_to(seconds)
        else:
            clock.advance_to_sync(seconds)


def _runs_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
