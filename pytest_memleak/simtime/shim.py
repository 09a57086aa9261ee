"""Switchable clock functions in the ``time`` module: real, until a simulated clock is entered.

``time-machine`` moves the wall clock at C level but leaves monotonic, perf_counter and sleep alone. Those
five functions are pure Python replacements here: swapping their C pointers would work too, and one mistake
would be a segfault in the user's process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import rebind

if TYPE_CHECKING:
    import asyncio

NAMES = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")
REAL: dict[str, Callable[..., Any]] = {name: getattr(time, name) for name in NAMES}

# The real ones, kept for the harness. Functions of their own: a captured built-in would be rebound.
_monotonic, _monotonic_ns = time.monotonic, time.monotonic_ns
_perf_counter, _perf_counter_ns = time.perf_counter, time.perf_counter_ns
_sleep = time.sleep


def real_monotonic() -> float:
    """Seconds on the real monotonic clock, whatever simulated time does."""
    return _monotonic()


def real_perf_counter() -> float:
    """Seconds on the real performance counter, whatever simulated time does."""
    return _perf_counter()


def real_perf_counter_ns() -> int:
    """Nanoseconds on the real performance counter."""
    return _perf_counter_ns()


def real_sleep(seconds: float, /) -> None:
    """Sleep `seconds` of real time."""
    _sleep(seconds)


class SwitchedTime:
    """The five functions as bound methods of one object.

    Bound methods, because like the built-in ones (and unlike plain functions) they do not turn into methods
    of a class that keeps one: ``class Limiter: clock = time.monotonic``.
    """

    __slots__ = tuple(f"_{name}" for name in NAMES)

    _monotonic: Callable[[], float]
    _monotonic_ns: Callable[[], int]
    _perf_counter: Callable[[], float]
    _perf_counter_ns: Callable[[], int]
    _sleep: Callable[[float], None]

    def __init__(self) -> None:
        self.switch(**REAL)

    def switch(self, **targets: Callable[..., Any]) -> None:
        """Let the named functions call `targets` from now on."""
        for name, target in targets.items():
            setattr(self, f"_{name}", target)

    def monotonic(self) -> float:
        return self._monotonic()

    def monotonic_ns(self) -> int:
        return self._monotonic_ns()

    def perf_counter(self) -> float:
        return self._perf_counter()

    def perf_counter_ns(self) -> int:
        return self._perf_counter_ns()

    def sleep(self, seconds: float, /) -> None:
        self._sleep(seconds)

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        # A pickled time.sleep must be the receiving process's own time.sleep.
        return __import__, ("time",)


switched = SwitchedTime()
SHIMS: dict[str, Callable[..., Any]] = {name: getattr(switched, name) for name in NAMES}

_lead_ns = 0
_installed = False
_real_loop_time: Callable[[asyncio.BaseEventLoop], float] | None = None


def install() -> None:
    """Put the switchable functions in place of the real ones. Calling it again does nothing.

    Names captured earlier are rebound too: ``from time import monotonic``, function defaults such as
    cachetools' ``timer=time.monotonic``, class attributes and attributes of objects. Excepted is code that
    must stay on real time (`rebind.REAL_TIME`): the standard library's waiting code, pytest and its runners.
    Until a `SimulatedClock` is entered the functions answer like the real ones.
    """
    global _installed, _real_loop_time
    if _installed:
        return
    import asyncio

    _installed = True
    rebind.give_real_time(REAL)
    for name, shim in SHIMS.items():
        setattr(time, name, shim)
    rebind.rebind({id(REAL[name]): SHIMS[name] for name in NAMES}, list(REAL.values()))
    _real_loop_time = asyncio.BaseEventLoop.time
    asyncio.BaseEventLoop.time = loop_time  # type: ignore[method-assign, assignment]


def uninstall() -> None:
    """Put the real functions back everywhere `install` or a later import placed a switchable one.

    ``monotonic`` and ``monotonic_ns`` are the exception once a clock has run: the simulated day is then
    behind us, and the real function would run backwards by it. They stay, real plus that lead.

    Raises:
        RuntimeError: a simulated clock is still running.
    """
    global _installed
    if not _installed:
        return
    if switched._sleep is not _sleep:
        raise RuntimeError("uninstall() was called while a simulated clock is running. Leave the clock first.")
    import asyncio

    back = [name for name in NAMES if not (_lead_ns and name.startswith("monotonic"))]
    for name in back:
        if getattr(time, name) == SHIMS[name]:
            setattr(time, name, REAL[name])
    rebind.rebind({id(SHIMS[name]): REAL[name] for name in back}, [SHIMS[name] for name in back])
    rebind.take_back_real_time()
    if asyncio.BaseEventLoop.time is loop_time and _real_loop_time is not None:
        asyncio.BaseEventLoop.time = _real_loop_time  # type: ignore[method-assign, assignment]
    _installed = False


def loop_time(loop: asyncio.BaseEventLoop) -> float:
    """``loop.time()`` of every loop that has no simulated clock: real, whatever happens elsewhere.

    A loop keeps the lead it started with. So a server's loop in another thread never sees its timers jump,
    and a loop made after a simulated day still agrees with time.monotonic().
    """
    lead_s: float | None = loop.__dict__.get("_simtime_lead_s")
    if lead_s is None:
        lead_s = lead_seconds()
        set_loop_lead(loop, lead_s)
    return _monotonic() + lead_s


def set_loop_lead(loop: asyncio.BaseEventLoop, lead_s: float) -> None:
    """Let `loop` run `lead_s` seconds ahead of the real monotonic clock from now on."""
    loop.__dict__["_simtime_lead_s"] = lead_s


def lead_seconds() -> float:
    """How far ``time.monotonic()`` is ahead of the real one, after simulated clocks that were left."""
    return _lead_ns / 1e9


def unsimulated_monotonic_ns() -> int:
    """The monotonic clock without a simulated clock: real plus the lead."""
    return _monotonic_ns() + _lead_ns


def back_to_real(monotonic_ns: int) -> None:
    """Call the real functions again; monotonic goes on from `monotonic_ns` if that is ahead of it."""
    global _lead_ns
    _lead_ns = max(_lead_ns, monotonic_ns - _monotonic_ns())
    lead_s = lead_seconds()
    switched.switch(**REAL)
    if _lead_ns:
        switched.switch(
            monotonic_ns=unsimulated_monotonic_ns,
            monotonic=lambda: _monotonic() + lead_s,
        )
