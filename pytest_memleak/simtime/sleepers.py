"""Threads that sleep in simulated time: parked until the clock passes their wake time, woken in order."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from .inflight import InFlight
from .work import Work


class Sleepers:
    """The parked threads.

    Args:
        in_flight: a thread that wakes is in flight until it sleeps again or ends.
        changed: called in the sleeping thread when it has parked, so that the clock looks again.
    """

    def __init__(self, in_flight: InFlight, changed: Callable[[], None]) -> None:
        self._in_flight = in_flight
        self._changed = changed
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._parked: list[tuple[int, int, threading.Event, Work]] = []
        self._closed = False

    @property
    def next_ns(self) -> int | None:
        """The earliest wake time in simulated nanoseconds, None when no thread sleeps."""
        parked = self._parked
        return parked[0][0] if parked else None

    def park(self, wake_ns: int, work: Work) -> None:
        """Block the calling thread until the clock has passed `wake_ns`; `work` stands for it."""
        bell = threading.Event()
        with self._lock:
            if self._closed:
                return
            heapq.heappush(self._parked, (wake_ns, next(self._order), bell, work))
            work.park()
            self._in_flight.discard(work)
        self._changed()
        bell.wait()

    def wake_next(self, now_ns: int) -> bool:
        """Wake the first thread that is due at `now_ns`; False when none is.

        One at a time: each settles before the next one runs, as threads of one machine seldom do, but it
        makes a run repeatable.
        """
        with self._lock:
            if not self._parked or self._parked[0][0] > now_ns:
                return False
            _, _, bell, work = heapq.heappop(self._parked)
            work.parked = False
            self._in_flight.add(work)
        bell.set()
        return True

    def close(self) -> None:
        """End every sleep at once: with the clock gone nobody would."""
        with self._lock:
            self._closed = True
            parked, self._parked = self._parked, []
        for _, _, bell, _ in parked:
            bell.set()
