"""The moving parts of a simulated clock, and the rule by which they move.

Simulated time stands still while anything real is in flight, and jumps to the next timer when nothing is.
"""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import Callable

from .errors import SimulatedTimeError
from .hands import Hands
from .inflight import InFlight
from .pace import TOLERANCE_NS, Pace
from .shim import real_monotonic
from .sleepers import Sleepers
from .threadwork import ThreadWatch
from .work import ThreadWork, Work

# Real time between two looks at work in flight that ends without telling anybody.
SHORTEST_LOOK_S, LONGEST_LOOK_S = 0.0005, 0.05


class Idle(enum.Enum):
    """What became of the clock when a loop had nothing to do."""

    MOVED = "the loop should look at its timers"
    WOKE_A_THREAD = "something is in flight again"
    CANNOT_MOVE = "only real time can bring something"


class Clockwork:
    """Hands, work in flight, sleeping threads and pace, and how they act together.

    Args:
        hands: the clocks the app reads.
        pace: how far one move may go.
        patience_s: real seconds to stand still for one work.
        wake_loop: called in other threads when the loop should look again.
    """

    def __init__(self, *, hands: Hands, pace: Pace, patience_s: float, wake_loop: Callable[[], None]) -> None:
        self.hands = hands
        self.pace = pace
        self.notices: list[str] = []
        self.in_flight = InFlight(patience_s=patience_s, notice=self.notice)
        self.sleepers = Sleepers(self.in_flight, self._thread_parked)
        self.threads = ThreadWatch(self.in_flight)
        # When the thread of the clock began what it does now (real monotonic); 0 while it waits on purpose.
        self.beat_s = 0.0
        self.arrived: asyncio.Future[None] | None = None
        self._wake_loop = wake_loop
        self._changed = threading.Event()
        self._said_spinner = False

    # --- with an event loop: its selector calls these

    def loop_is_idle(self, due_ns: int | None) -> Idle:
        """The loop has nothing to do until its next timer at `due_ns` (None: it has none): move the clock."""
        self.pace.idle()
        next_ns = _earliest(due_ns, self.sleepers.next_ns)
        now_ns = self.hands.now_ns
        if self.arrived is not None:
            if next_ns is None or next_ns > max(self.pace.target_ns, now_ns) + TOLERANCE_NS:
                self.hands.move_to(self.pace.target_ns)
                if not self.arrived.done():
                    self.arrived.set_result(None)
                return Idle.MOVED
            next_ns = self.pace.coalesced(next_ns)
            if storm := self.pace.storm(now_ns):
                self.fail(storm)
                return Idle.MOVED
        elif next_ns is None or self.pace.too_far(next_ns, self.notice):
            return Idle.CANNOT_MOVE
        self.hands.move_to(next_ns)
        self.pace.jumps += 1
        return Idle.WOKE_A_THREAD if self.sleepers.wake_next(self.hands.now_ns) else Idle.MOVED

    def loop_is_busy(self) -> None:
        """The loop passed through without waiting: harmless, unless it never stops doing so."""
        spinning_s = self.pace.spinning_s()
        if not spinning_s:
            return
        if self.arrived is not None:
            self.fail(self.pace.spinner(advancing=True))
            return
        if not self._said_spinner:
            self._said_spinner = True
            self.notice(self.pace.spinner(advancing=False))
        self.flow(spinning_s)

    def fail(self, text: str) -> None:
        """End the advance under way with an error."""
        if self.arrived is not None and not self.arrived.done():
            self.arrived.set_exception(SimulatedTimeError(text))

    # --- in the thread of the clock, without giving the loop a turn

    def walk_to(self, target_ns: int, *, storms: bool = False, kind: type[Work] = Work) -> None:
        """Wake every sleeping thread due up to `target_ns`, in order, and let each one settle.

        Args:
            target_ns: simulated nanoseconds since entering.
            storms: refuse to wake threads without end, and coalesce their wake times.
            kind: the work to wait for.
        """
        self.beat_s = 0.0
        try:
            self._settle(kind)
            while (wake_ns := self.sleepers.next_ns) is not None and wake_ns <= target_ns + TOLERANCE_NS:
                if storms and (storm := self.pace.storm(self.hands.now_ns)):
                    raise SimulatedTimeError(storm)
                self.hands.move_to(self.pace.coalesced(wake_ns) if storms else min(wake_ns, target_ns))
                self.sleepers.wake_next(self.hands.now_ns)
                self._settle(kind)
            self.hands.move_to(target_ns)
        finally:
            self.beat_s = real_monotonic()

    def sleep_in_loop(self, ns: int) -> None:
        """time.sleep in a callback: it blocks the loop, so no future of the loop can complete meanwhile."""
        self.walk_to(self.hands.now_ns + ns, kind=ThreadWork)

    def _settle(self, kind: type[Work]) -> None:
        """Wait, for real, until nothing of that kind is in flight."""
        look_s = SHORTEST_LOOK_S
        while hold_s := self.in_flight.hold_s(kind):
            self._changed.wait(min(hold_s, look_s))
            self._changed.clear()
            look_s = min(2 * look_s, LONGEST_LOOK_S)

    # --- from any thread

    def notice(self, text: str) -> None:
        """Keep a warning for the next time user code calls the clock; the same one only once."""
        if text not in self.notices:
            self.notices.append(text)

    def flow(self, seconds: float) -> None:
        """Let `seconds` pass that really passed, because nothing better is known."""
        self.hands.move_to(self.hands.now_ns + round(seconds * 1e9))

    def wake_one(self) -> None:
        """Jump to the first sleeping thread and wake it."""
        if (wake_ns := self.sleepers.next_ns) is not None:
            self.hands.move_to(wake_ns)
            self.sleepers.wake_next(self.hands.now_ns)

    def _thread_parked(self) -> None:
        self._changed.set()
        self._wake_loop()


def _earliest(due_ns: int | None, wake_ns: int | None) -> int | None:
    if due_ns is None or wake_ns is None:
        return wake_ns if due_ns is None else due_ns
    return min(due_ns, wake_ns)
