"""A thread that notices when one call blocks the thread of the clock, and lets time flow."""

from __future__ import annotations

import concurrent.futures._base
import queue
import sys
import threading
import traceback
from typing import TYPE_CHECKING

from .errors import BLOCKED
from .shim import real_monotonic

if TYPE_CHECKING:
    from .clock import SimulatedClock

_LOOK_S = 0.02
# A deadline loop on a clock that stands still would never end: after this, time flows like real time.
_FLOWS_AFTER_S = 1.0
_SAYS_SO_AFTER_S = 10.0
# Code in which a thread waits for another thread.
_WAITING = frozenset({threading.__file__, queue.__file__, concurrent.futures._base.__file__})


class Watchdog:
    """Looks after one clock from `start` to `stop`."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._stopped = threading.Event()
        self._said_for = 0.0

    def start(self, owner: threading.Thread) -> None:
        """Look after the thread `owner`, which moves the clock."""
        self._owner = owner
        threading.Thread(target=self._run, name="pytest-memleak watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop looking. The thread ends by itself."""
        self._stopped.set()

    def _run(self) -> None:
        looked_s = real_monotonic()
        while not self._stopped.wait(_LOOK_S):
            now_s, passed_s = real_monotonic(), real_monotonic() - looked_s
            looked_s = now_s
            if beat_s := self._clock.beat_s:
                self._look(beat_s, now_s - beat_s, passed_s)

    def _look(self, beat_s: float, blocked_s: float, passed_s: float) -> None:
        clock = self._clock
        if clock.sleepers.next_ns is not None and self._owner_waits() and not clock.in_flight.hold_s():
            # The thread waits for others, and those sleep: nobody would ever wake them.
            clock.wake_next_sleeper()
            return
        if blocked_s < _FLOWS_AFTER_S:
            return
        clock.flow(passed_s)
        if blocked_s > _SAYS_SO_AFTER_S and self._said_for != beat_s:
            self._said_for = beat_s
            frame = sys._current_frames().get(self._owner.ident or 0)
            stack = "".join(traceback.format_stack(frame)[-8:])
            sys.stderr.write(BLOCKED.format(thread=self._owner.name, real_s=blocked_s, stack=stack))

    def _owner_waits(self) -> bool:
        frame = sys._current_frames().get(self._owner.ident or 0)
        return frame is not None and frame.f_code.co_filename in _WAITING
