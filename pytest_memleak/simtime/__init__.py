"""Simulated time: every clock the app can read advances with the run.

Cheap to import: the loop, the clock and time-machine are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import SimulatedTimeError, SimulatedTimeWarning
from .shim import install, real_monotonic, real_perf_counter, real_sleep, uninstall

if TYPE_CHECKING:
    from .clock import SimulatedClock
    from .loop import SimulatedLoop

__all__ = [
    "SimulatedClock",
    "SimulatedLoop",
    "SimulatedTimeError",
    "SimulatedTimeWarning",
    "install",
    "real_monotonic",
    "real_perf_counter",
    "real_sleep",
    "uninstall",
]


def __getattr__(name: str) -> object:
    if name == "SimulatedClock":
        from .clock import SimulatedClock

        return SimulatedClock
    if name == "SimulatedLoop":
        from .loop import SimulatedLoop

        return SimulatedLoop
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
