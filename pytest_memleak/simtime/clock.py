"""SimulatedClock: entering, advancing and leaving simulated time."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from . import errors, shim
from .clockwork import Clockwork
from .errors import SimulatedTimeError, SimulatedTimeWarning
from .hands import Hands
from .loop import SimulatedLoop
from .pace import Pace
from .watchdog import Watchdog

if TYPE_CHECKING:
    import datetime as dt
    from types import TracebackType

_active: SimulatedClock | None = None


class SimulatedClock:
    """Every clock the app can read, moved by the test instead of by the passing of time.

    ``async with SimulatedClock() as clock`` moves the running `SimulatedLoop`. ``with SimulatedClock() as
    clock`` needs no loop: it moves the calling thread and the threads it starts. A process has one clock.

    Args:
        start: what the wall clock shows at entry (a datetime, a timestamp, an ISO string); None is now.
        resolution: seconds; while advancing, timers fire only at multiples of it. 0 fires them exactly.
        patience: real seconds to stand still for one piece of real work, then it counts as idle.
        longest_iteration: simulated seconds an iteration may use up before it continues in real time.
        longest_busy: real seconds the loop may stay busy before that counts as spinning.
        real_sleepers: packages whose calls of time.sleep poll for something real, and stay real.
    """

    def __init__(
        self,
        start: dt.datetime | dt.date | float | str | None = None,
        resolution: float = 0.0,
        patience: float = 5.0,
        *,
        longest_iteration: float = 3600.0,
        longest_busy: float = 5.0,
        real_sleepers: Iterable[str] = ("filelock", "multiprocessing", "psutil", "subprocess"),
    ) -> None:
        self._real_sleepers = frozenset(real_sleepers)
        self._hands = Hands(start)
        self._works = Clockwork(
            hands=self._hands,
            pace=Pace(resolution_s=resolution, longest_iteration_s=longest_iteration, busy_s=longest_busy),
            patience_s=patience,
            wake_loop=self._wake_loop,
        )
        self._watchdog = Watchdog(self._works)
        self._loop: SimulatedLoop | None = None
        self._owner: threading.Thread | None = None
        self._advancing = ""

    @property
    def now(self) -> float:
        """Simulated seconds since the clock was entered."""
        return self._hands.now_ns / 1e9

    # --- entering and leaving

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimulatedLoop):
            name = f"{type(loop).__module__}.{type(loop).__qualname__}"
            whose = "timers are C code" if "uvloop" in name else "timers follow the real clock"
            raise SimulatedTimeError(errors.WRONG_LOOP.format(loop=name, whose=whose))
        self._enter(loop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit(error)

    def __enter__(self) -> Self:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._enter(None)
            return self
        raise SimulatedTimeError(errors.LOOP_RUNS.format(loop=loop))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit(error)

    def _enter(self, loop: SimulatedLoop | None) -> None:
        global _active
        if _active is not None:
            thread = _active._owner.name if _active._owner else ""
            raise SimulatedTimeError(errors.ENTERED_TWICE.format(thread=thread, now_s=_active.now))
        if self._owner is not None:
            raise SimulatedTimeError(errors.USED_UP)
        self._hands.enter(self._sleep)
        _active, self._loop, self._owner = self, loop, threading.current_thread()
        try:
            self._watchdog.start(self._owner)
            self._works.threads.start(on_loop=loop is not None)
            self._works.beat_s = shim.real_monotonic()
            if loop is not None:
                loop.attach(self._works, closing=self.leave)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Give every clock back to real time and end every simulated sleep. Again does nothing.

        Leaving the ``with`` block does this; so does closing the loop of a clock that was never left.
        """
        global _active
        if _active is not self:
            return
        _active = None
        self._watchdog.stop()
        self._works.threads.stop()
        self._hands.leave()
        if self._loop is not None:
            self._loop.detach()
        self._works.in_flight.clear()
        self._works.sleepers.close()

    def _exit(self, error: BaseException | None) -> None:
        self.leave()
        if error is None:
            self._warn(stacklevel=4)
            return
        for text in self._take_notices():  # a warning raised as an error here would hide the test's own
            error.add_note(text)

    def _warn(self, stacklevel: int) -> None:
        # In the caller rather than where it was noticed: there, a warning turned into an error would
        # come out of the selector and kill the loop.
        for text in self._take_notices():
            warnings.warn(text, SimulatedTimeWarning, stacklevel=stacklevel + 1)

    def _take_notices(self) -> list[str]:
        notices, self._works.notices[:] = list(self._works.notices), []
        return notices

    # --- advancing

    async def advance(self, seconds: float) -> None:
        """Let `seconds` (simulated) pass: `advance_to` that much later than now."""
        self._check("advance", seconds, sync=False)
        await self._advance_to(self._hands.now_ns + round(seconds * 1e9))

    async def advance_to(self, seconds: float) -> None:
        """Fire every timer due up to `seconds` after entering, in order, and let each one settle.

        Targets on a grid of absolute times give exact counts, whatever happened in between. A target that
        has passed only lets the loop settle.

        Raises:
            SimulatedTimeError: the clock cannot move (storm, spinner, foreign clocks) or must not (wrong
                thread or loop, another advance under way).
        """
        self._check("advance_to", seconds, sync=False)
        await self._advance_to(round(seconds * 1e9))

    def advance_sync(self, seconds: float) -> None:
        """Let `seconds` (simulated) pass in the thread that entered: `advance_to_sync` from now."""
        self._check("advance", seconds, sync=True)
        self._walk_to(self._hands.now_ns + round(seconds * 1e9))

    def advance_to_sync(self, seconds: float) -> None:
        """Wake every sleeping thread due up to `seconds` after entering, in order, and let each one settle.

        Raises:
            SimulatedTimeError: as `advance_to`.
        """
        self._check("advance_to", seconds, sync=True)
        self._walk_to(round(seconds * 1e9))

    async def _advance_to(self, target_ns: int) -> None:
        works, task = self._works, asyncio.current_task()
        caller = task.get_name() if task else "a callback"
        if works.arrived is not None:
            raise SimulatedTimeError(
                errors.ADVANCED_TWICE.format(second=caller, first=self._advancing, target_s=works.pace.target_ns / 1e9)
            )
        works.pace.begin(self._hands.now_ns, target_ns)
        self._advancing = caller
        # A plain future, not loop.create_future(): nobody outside completes it.
        works.arrived = asyncio.Future[None](loop=self._loop)
        try:
            await works.arrived
        finally:
            works.arrived = None
            works.pace.end(self._hands.now_ns)
        self._hands.check()
        if works.notices:
            self._warn(stacklevel=3)

    def _walk_to(self, target_ns: int) -> None:
        works = self._works
        works.pace.begin(self._hands.now_ns, target_ns)
        try:
            works.walk_to(target_ns, storms=True)
        finally:
            works.pace.end(self._hands.now_ns)
        self._hands.check()
        if works.notices:
            self._warn(stacklevel=3)

    def _check(self, name: str, seconds: float, *, sync: bool) -> None:
        """Make sure that the clock can be moved by this much from here."""
        if not 0 <= seconds < math.inf:
            raise SimulatedTimeError(errors.NOT_FORWARD.format(name=name, seconds=seconds))
        if _active is not self or self._owner is None:
            raise SimulatedTimeError(errors.NOT_ENTERED)
        if sync != (self._loop is None):
            raise SimulatedTimeError((errors.USE_ASYNC if sync else errors.USE_SYNC).format(name=name))
        current = threading.current_thread()
        if current is not self._owner:
            raise SimulatedTimeError(errors.WRONG_THREAD.format(name=name, thread=current.name, owner=self._owner.name))
        self._hands.check()

    # --- time.sleep

    def _sleep(self, seconds: float, /) -> None:
        """What time.sleep does meanwhile: it costs simulated time and no real time."""
        caller = str(sys._getframe(2).f_globals.get("__name__", "")).partition(".")[0]
        polls = caller in self._real_sleepers
        ns = round(seconds * 1e9) if 0 < seconds < math.inf else 0
        if threading.current_thread() is self._owner:
            if polls or not ns:
                shim.real_sleep(seconds)
                self._works.flow(max(seconds, 0))
            elif self._loop is None:
                self._works.walk_to(self._hands.now_ns + ns)
            else:
                self._works.sleep_in_loop(ns)
            return
        work = None if polls or not ns or _runs_a_loop() else self._works.threads.current()
        if work is None:
            shim.real_sleep(seconds)
        else:
            self._works.sleepers.park(self._hands.now_ns + ns, work)

    def _wake_loop(self) -> None:
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(_nothing)
            except RuntimeError:  # closed meanwhile, and so the clock was left
                return


def _nothing() -> None:
    """Wakes a loop that waits in its selector."""


def _runs_a_loop() -> bool:
    """Whether an event loop runs in this thread: not the clock's, so it keeps real time."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _leave_in_child() -> None:
    """A forked child keeps real time: nobody would move its clock."""
    if _active is not None:
        _active.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_in_child)
