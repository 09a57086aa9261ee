"""How far the clock may move at once, and when it must give up: storms, spinners, endless iterations."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from .errors import LONG_ITERATION, SPINNER, SPINNER_FLOWS, TIMER_STORM
from .shim import real_monotonic

# A 300 Hz timer is a storm; 20,000 wake-ups are always allowed, so that short bursts are not.
_WAKEUPS = 20_000
_WAKEUPS_PER_SECOND = 300
# Passes of the loop between two looks at the real clock while it is busy.
_PASSES_PER_LOOK = 1024
# Frames that say nothing about where a task of the app waits.
_OURS = ("asyncio", "pytest_memleak")
# Timer ties: less than the rounding of float seconds can add up to.
TOLERANCE_NS = 1_000


class Pace:
    """Decides on one move of the clock, and counts.

    Args:
        resolution_s: while advancing, timers fire only at multiples of this; 0 means exactly.
        longest_iteration_s: simulated seconds one iteration may use up by itself.
        busy_s: real seconds the loop may stay busy before that is called spinning.
    """

    def __init__(self, *, resolution_s: float, longest_iteration_s: float, busy_s: float) -> None:
        self._resolution_ns = round(resolution_s * 1e9)
        self._longest_ns = round(longest_iteration_s * 1e9)
        self._busy_s = busy_s
        self.setters: Counter[str] | None = None
        self.jumps = 0
        self._iteration_ends_ns = self._longest_ns
        self.begin(0, 0)

    def begin(self, now_ns: int, target_ns: int) -> None:
        """An advance to `target_ns` begins."""
        self._from_ns, self.target_ns = now_ns, target_ns
        self._wakeups = self._passes = 0
        self.setters = None

    def end(self, now_ns: int) -> None:
        """The advance has ended: an iteration begins."""
        self.setters = None
        self._iteration_ends_ns = now_ns + self._longest_ns

    def coalesced(self, due_ns: int) -> int:
        """When a timer due at `due_ns` fires during an advance: never after its target."""
        if due_ns > self.target_ns:
            return self.target_ns
        if self._resolution_ns:
            due_ns = -(-due_ns // self._resolution_ns) * self._resolution_ns
        return min(due_ns, self.target_ns)

    def storm(self, now_ns: int) -> str | None:
        """One timer of an advance is about to fire; the text of the error when it is a storm."""
        self._wakeups += 1
        limit = max(_WAKEUPS, _WAKEUPS_PER_SECOND * (self.target_ns - self._from_ns) // 10**9)
        if self._wakeups == limit // 2:
            self.setters = Counter()  # from here on, remember who sets timers
        if self._wakeups <= limit:
            return None
        culprit = self.setters.most_common(1)[0][0] if self.setters else "threads that sleep"
        return TIMER_STORM.format(wakeups=self._wakeups, moved_s=(now_ns - self._from_ns) / 1e9, culprit=culprit)

    def too_far(self, due_ns: int, notice: Callable[[str], None]) -> bool:
        """Whether an iteration would use up too much simulated time by itself; says so once."""
        if due_ns <= self._iteration_ends_ns:
            return False
        if self._iteration_ends_ns:
            self._iteration_ends_ns = 0
            notice(LONG_ITERATION.format(limit_s=self._longest_ns / 1e9, tasks=running_tasks()))
        return True

    def idle(self) -> None:
        """The loop has become idle: it does not spin."""
        self._passes = 0

    def spinning_s(self) -> float:
        """Count one pass of a busy loop; the real seconds since the last look when it spins, else 0."""
        self._passes += 1
        if self._passes % _PASSES_PER_LOOK:
            return 0.0
        now_s = real_monotonic()
        if self._passes == _PASSES_PER_LOOK:
            self._busy_since_s = self._looked_s = now_s
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        return passed_s if now_s - self._busy_since_s > self._busy_s else 0.0

    def spinner(self, *, advancing: bool) -> str:
        """The text of the error or the warning about a loop that spins."""
        text = SPINNER if advancing else SPINNER_FLOWS
        real_s = real_monotonic() - self._busy_since_s
        return text.format(passes=self._passes, real_s=real_s, tasks=running_tasks())

    def count_setter(self, loop: asyncio.AbstractEventLoop, callback: Any) -> None:
        """Remember who sets a timer, once a storm is near."""
        if self.setters is not None:
            task = asyncio.current_task(loop)
            self.setters[place_of(task) if task else repr(callback)] += 1


def running_tasks(limit: int = 8) -> str:
    """The unfinished tasks of the running loop and where each one waits, for a message."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        return "none"
    places = sorted(place_of(task) for task in tasks)
    more = f" and {len(places) - limit} more" if len(places) > limit else ""
    return "; ".join(places[:limit]) + more


def place_of(task: asyncio.Task[Any]) -> str:
    """A task's name and its innermost line of user code: ``Task-3 in ticker (app.py:12)``."""
    coroutine: Any = task.get_coro()
    frame: FrameType | None = None
    while coroutine is not None:
        inner = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if inner is not None and inner.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
            frame = inner
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    if frame is None:
        return task.get_name()
    code = frame.f_code
    return f"{task.get_name()} in {code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
