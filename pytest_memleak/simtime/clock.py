"""SimulatedClock: the rule of simulated time, and how the app's time is moved by it.

Simulated time stands still while anything real is in flight, and jumps to the next timer when the loop is
idle. Everything else here follows from that rule.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from . import errors, shim
from .errors import SimulatedTimeError, SimulatedTimeWarning
from .hands import Hands
from .inflight import InFlight
from .loop import Idle, SimulatedLoop
from .pace import TOLERANCE_NS, Pace
from .sleepers import Sleepers
from .threadwork import ThreadWatch
from .watchdog import Watchdog
from .work import ThreadWork, Work

if TYPE_CHECKING:
    import datetime as dt
    from types import TracebackType

_active: SimulatedClock | None = None


class SimulatedClock:
    """Every clock the app can read, moved by the test instead of by the passing of time.

    ``async with SimulatedClock() as clock`` moves the running `SimulatedLoop`; ``with SimulatedClock() as clock``
    needs no loop and moves the calling thread and the threads it starts. There is one clock per process.

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
        self._notices: list[str] = []
        self.beat_s = 0.0
        self.in_flight = InFlight(patience_s=patience, notice=self._notices.append)
        self.pace = Pace(resolution_s=resolution, longest_iteration_s=longest_iteration, busy_s=longest_busy)
        self.sleepers = Sleepers(self.in_flight, self._look_again)
        self.threads = ThreadWatch(self.in_flight)
        self._watchdog = Watchdog(self)
        self._changed = threading.Event()
        self._loop: SimulatedLoop | None = None
        self._advance: tuple[asyncio.Future[None], str] | None = None
        self._owner: threading.Thread | None = None

    # --- reading

    @property
    def now(self) -> float:
        """Simulated seconds since the clock was entered."""
        return self._hands.now_ns / 1e9

    @property
    def now_ns(self) -> int:
        """Simulated nanoseconds since the clock was entered."""
        return self._hands.now_ns

    @property
    def monotonic_s(self) -> float:
        """What ``time.monotonic()`` and the loop's clock show."""
        return self._hands.monotonic_ns / 1e9

    # --- entering and leaving

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimulatedLoop):
            name = f"{type(loop).__module__}.{type(loop).__qualname__}".replace("uvloop.loop.", "uvloop.")
            whose = ", whose timers are C code" if "uvloop" in name else ", whose timers follow the real clock"
            raise SimulatedTimeError(errors.WRONG_LOOP.format(loop=name, whose=whose))
        self._enter(loop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        self._say_notices()

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
        self.leave()
        self._say_notices()

    def _enter(self, loop: SimulatedLoop | None) -> None:
        global _active
        if _active is not None:
            owner = _active._owner.name if _active._owner else "?"
            raise SimulatedTimeError(errors.ENTERED_TWICE.format(thread=owner, now_s=_active.now))
        if self._owner is not None:
            raise SimulatedTimeError(errors.USED_UP)
        self._hands.enter(self._sleep)
        _active, self._loop, self._owner = self, loop, threading.current_thread()
        self._watchdog.start(self._owner)
        self.threads.start(on_loop=loop is not None)
        self.beat_s = shim.real_monotonic()
        if loop is not None:
            loop.clock = self

    def leave(self) -> None:
        """Give every clock back to the real time. Leaving again does nothing."""
        global _active
        if _active is not self:
            return
        _active = None
        self._watchdog.stop()
        self.threads.stop()
        self._hands.leave()
        if self._loop is not None:
            self._loop.clock = None
            shim.set_loop_lead(self._loop, shim.lead_seconds())
        self.in_flight.clear()
        self.sleepers.close()

    def _say_notices(self) -> None:
        """Warn here rather than where it was noticed: there a warning turned into an error would kill the loop."""
        notices, self._notices[:] = list(dict.fromkeys(self._notices)), []
        for text in notices:
            warnings.warn(text, SimulatedTimeWarning, stacklevel=4)

    # --- moving, on an event loop

    async def advance(self, seconds: float) -> None:
        """Let `seconds` (simulated) pass: `advance_to` that much later than now."""
        self._not_backwards("advance", seconds)
        await self._advance_to("advance", self._hands.now_ns + round(seconds * 1e9))

    async def advance_to(self, seconds: float) -> None:
        """Fire every timer due up to `seconds` after entering, in order, and let each one settle.

        Targets on a grid of absolute times give exact counts, whatever happened in between. A target that
        has passed only lets the loop settle.

        Raises:
            SimulatedTimeError: the clock cannot move (storm, spinner, foreign clocks) or must not (wrong
                thread or loop, another advance under way).
        """
        self._not_backwards("advance_to", seconds)
        await self._advance_to("advance_to", round(seconds * 1e9))

    async def _advance_to(self, name: str, target_ns: int) -> None:
        loop = self._check(name, sync=False)
        task = asyncio.current_task()
        caller = task.get_name() if task else "a callback"
        if self._advance is not None:
            first = self._advance[1]
            target_s = self.pace.target_ns / 1e9
            raise SimulatedTimeError(errors.ADVANCED_TWICE.format(second=caller, first=first, target_s=target_s))
        self.pace.begin(self._hands.now_ns, target_ns)
        arrived = asyncio.Future[None](loop=loop)
        self._advance = arrived, caller
        try:
            await arrived
        finally:
            self._advance = None
            self.pace.end(self._hands.now_ns)
        self._hands.check()
        self._say_notices()

    def loop_is_idle(self, due_ns: int | None) -> Idle:
        """The loop has nothing to do until its next timer at `due_ns` (None: no timer): move the clock."""
        self.pace.idle()
        sleeper_ns = self.sleepers.next_ns
        next_ns = due_ns if sleeper_ns is None else min(sleeper_ns, due_ns or sleeper_ns)
        if self._advance is not None:
            arrived, target_ns = self._advance[0], self.pace.target_ns
            if next_ns is None or next_ns > target_ns + TOLERANCE_NS:
                self._hands.move_to(target_ns)
                if not arrived.done():
                    arrived.set_result(None)
                return Idle.MOVED
            next_ns = self.pace.coalesced(next_ns)
            if storm := self.pace.count_wakeup(self._hands.now_ns):
                self._fail(storm)
                return Idle.MOVED
        elif next_ns is None or self.pace.too_far(next_ns, self._notices.append):
            return Idle.CANNOT_MOVE
        self._hands.move_to(next_ns)
        self.pace.jumps += 1
        if sleeper_ns is not None and self.sleepers.wake_next(self._hands.now_ns):
            return Idle.WOKE_A_THREAD
        return Idle.MOVED

    def loop_is_busy(self) -> None:
        """The loop passed through without waiting: harmless, unless it never stops doing so."""
        spinning_s = self.pace.spinning_s()
        if not spinning_s:
            return
        text = self.pace.spinner(advancing=self._advance is not None)
        if self._advance is not None:
            self._fail(text)
            return
        if not self._spinner_said:
            self._spinner_said = True
            self._notices.append(text)
        self.flow(spinning_s)

    _spinner_said = False

    def _fail(self, text: str) -> None:
        if self._advance is not None and not self._advance[0].done():
            self._advance[0].set_exception(SimulatedTimeError(text))

    # --- moving, without a loop

    def advance_sync(self, seconds: float) -> None:
        """Let `seconds` (simulated) pass in the thread that entered: `advance_to_sync` from now."""
        self._not_backwards("advance", seconds)
        self._check("advance", sync=True)
        self._walk_to(self._hands.now_ns + round(seconds * 1e9))

    def advance_to_sync(self, seconds: float) -> None:
        """Wake every sleeping thread due up to `seconds` after entering, in order, and let each one settle.

        Raises:
            SimulatedTimeError: a foreign clock is active, or this is not the thread that entered.
        """
        self._not_backwards("advance_to", seconds)
        self._check("advance_to", sync=True)
        self._walk_to(round(seconds * 1e9))

    def _walk_to(self, target_ns: int) -> None:
        self.beat_s = 0.0
        self.pace.begin(self._hands.now_ns, target_ns)
        kind = Work if self._loop is None else ThreadWork  # a blocked loop completes no future
        self._settle(kind)
        while (wake_ns := self.sleepers.next_ns) is not None and wake_ns <= target_ns + TOLERANCE_NS:
            self._hands.move_to(self.pace.coalesced(wake_ns))
            if storm := self.pace.count_wakeup(self._hands.now_ns):
                raise SimulatedTimeError(storm)
            self.sleepers.wake_next(self._hands.now_ns)
            self._settle(kind)
        self._hands.move_to(target_ns)
        self.pace.end(self._hands.now_ns)
        self.beat_s = shim.real_monotonic()
        if self._loop is None:
            self._hands.check()
            self._say_notices()

    def _settle(self, kind: type[Work]) -> None:
        """Wait, for real, until nothing of that kind is in flight."""
        look_s = 0.0005
        while hold_s := self.in_flight.hold_s(kind):
            self._changed.wait(min(hold_s, look_s))
            self._changed.clear()
            look_s = min(2 * look_s, 0.05)

    # --- moving, from anywhere

    def flow(self, seconds: float) -> None:
        """Let `seconds` pass that really passed, because nothing better is known."""
        self._hands.move_by(seconds)

    def wake_next_sleeper(self) -> None:
        """Jump to the first parked thread and wake it."""
        if (wake_ns := self.sleepers.next_ns) is not None:
            self._hands.move_to(wake_ns)
            self.sleepers.wake_next(self._hands.now_ns)

    def _sleep(self, seconds: float, /) -> None:
        """time.sleep: costs simulated time and no real time."""
        caller = str(sys._getframe(2).f_globals.get("__name__", "")).partition(".")[0]
        ns = round(seconds * 1e9) if seconds > 0 and math.isfinite(seconds) else 0
        if threading.current_thread() is self._owner:
            if caller in self._real_sleepers:
                shim.real_sleep(seconds)
                self.flow(seconds)
            elif ns:
                self._walk_to(self._hands.now_ns + ns)
            else:
                shim.real_sleep(seconds)
            return
        foreign_loop = asyncio._get_running_loop() is not None
        work = None if foreign_loop or not ns or caller in self._real_sleepers else self.threads.current()
        if work is None:
            shim.real_sleep(seconds)
        else:
            self.sleepers.park(self._hands.now_ns + ns, work)

    def _look_again(self) -> None:
        """A thread has parked: whoever waits for it may go on."""
        self._changed.set()
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(_nothing)
            except RuntimeError:  # the loop was closed meanwhile, and the clock left
                return

    # --- checks

    def _not_backwards(self, name: str, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise SimulatedTimeError(errors.BACKWARDS.format(name=name, seconds=seconds))

    def _check(self, name: str, *, sync: bool) -> Any:
        """The loop of the clock, after making sure that it can be moved from here."""
        if _active is not self or self._owner is None:
            raise SimulatedTimeError(errors.NOT_ENTERED)
        if sync != (self._loop is None):
            raise SimulatedTimeError((errors.USE_ASYNC if sync else errors.USE_SYNC).format(name=name))
        if not sync and asyncio.get_running_loop() is not self._loop:
            raise SimulatedTimeError(errors.WRONG_RUNNING_LOOP.format(name=name))
        current = threading.current_thread()
        if current is not self._owner:
            raise SimulatedTimeError(errors.WRONG_THREAD.format(name=name, thread=current.name, owner=self._owner.name))
        self._hands.check()
        return self._loop


def _nothing() -> None:
    """Wakes a loop that waits in its selector."""


def _leave_in_child() -> None:
    """A forked child keeps real time: nobody would move its clock."""
    if _active is not None:
        _active.leave()


os.register_at_fork(after_in_child=_leave_in_child)
