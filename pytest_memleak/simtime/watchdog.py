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
    from .clockwork import Clockwork

_LOOK_S, _LOOK_AT_SLEEPERS_S = 0.25, 0.02
# A deadline loop on a clock that stands still would never end: after this, time flows like real time.
FLOWS_AFTER_S = 1.0
SAYS_SO_AFTER_S = 10.0
# Code in which a thread waits for another thread.
_WAITING = frozenset({threading.__file__, queue.__file__, concurrent.futures._base.__file__})


class Watchdog:
    """Looks after one clock from `start` to `stop`."""

    def __init__(self, works: Clockwork) -> None:
        self._works = works
        self._stopped = threading.Event()
        self._said_for = 0.0
        self._thread: threading.Thread | None = None

    def start(self, owner: threading.Thread) -> None:
        """Look after the thread `owner`, which moves the clock."""
        self._owner = owner
        self._thread = threading.Thread(target=self._run, name="pytest-memleak watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking, and wait for the end of the thread: it must not be counted as one of the app's."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        works, looked_s = self._works, real_monotonic()
        while not self._stopped.wait(_LOOK_S if works.sleepers.next_ns is None else _LOOK_AT_SLEEPERS_S):
            now_s, passed_s = real_monotonic(), real_monotonic() - looked_s
            looked_s = now_s
            beat_s = works.beat_s
            if not beat_s:
                continue
            if self._awaited_thread_sleeps():
                works.wake_one()
            elif now_s - beat_s > FLOWS_AFTER_S:
                works.flow(passed_s)
                self._say(beat_s, now_s - beat_s)

    def _awaited_thread_sleeps(self) -> bool:
        """Whether the thread of the clock waits for one that sleeps: nobody else would ever wake that one."""
        if self._works.sleepers.next_ns is None:
            return False
        frame = sys._current_frames().get(self._owner.ident or 0)
        while frame is not None and frame.f_code.co_filename in _WAITING:
            # Thread.start waits for a thread to begin, which may sleep already.
            starts = frame.f_code.co_name == "start"
            if not starts and self._works.threads.sleeps(frame.f_locals.get("self")):
                return True
            frame = frame.f_back
        return False

    def _say(self, beat_s: float, blocked_s: float) -> None:
        """Print once where a call has been blocking for long."""
        if blocked_s < SAYS_SO_AFTER_S or self._said_for == beat_s:
            return
        self._said_for = beat_s
        stack = "".join(traceback.format_stack(sys._current_frames().get(self._owner.ident or 0))[-8:])
        sys.stderr.write(BLOCKED.format(thread=self._owner.name, real_s=blocked_s, stack=stack))
