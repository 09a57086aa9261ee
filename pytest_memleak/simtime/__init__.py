"""Simulated time: every clock the app can read advances with the run.

Simulated time stands still while anything real is in flight, and jumps to the next timer when nothing is.
Cheap to import: the loop, the clock and time-machine are loaded when they are first used.

What it cannot do:

* Real work costs no simulated time: durations that the app measures are 0.
* Servers keep real time (Redis TTLs, SQL ``now()``), and so do children, also those of ``subprocess.Popen``
  that the app polls: the clock waits only for children started through asyncio.
* Threads that wait with a timeout (Event, Condition, Queue, ``threading.Timer``, APScheduler's
  BackgroundScheduler) and event loops in other threads (Starlette's TestClient) keep real time: leaks paced
  by them are not seen. Neither are those of threads that already ran when the clock was entered.
* Nobody tells when a thread fed through a queue has something to do: the clock does not wait for it.
* Timers faster than about 10 Hz are slow and need ``resolution``.
* Code that was given a clock inside a list, or keeps it in a slot, before `install` keeps the real one.
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
