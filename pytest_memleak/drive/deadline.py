"""A deadline for one iteration: what hangs is ended, and it is said where it hung."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Self

from pytest_memleak.drive.whereabouts import Whereabouts, is_in_loop, is_in_package, of_task, of_thread

_SIGNAL: int | None = getattr(signal, "SIGRTMAX", getattr(signal, "SIGUSR2", None))
"""Not SIGALRM: that is pytest-timeout's."""
_LONGEST_LOOK_S = 1.0
_DEBUGGERS = frozenset({"pdb", "bdb", "pydevd", "_pydevd_bundle"})


class IterationTimeout(BaseException):
    """An iteration, or the app's startup or shutdown, ran longer than it may.

    No `Exception`: an app that catches those must not keep the hanging iteration alive.

    Args:
        where: where it was then.
    """

    def __init__(self, where: Whereabouts) -> None:
        super().__init__("ran longer than iteration_timeout")
        self.where = where


class Deadline:
    """Ends what takes too long; used as a context manager around each thing that may hang.

    One thread looks on from `start` to `stop` and reads the clock, so an iteration costs two assignments, and
    the end may come up to a second late. What waits on the loop is cancelled. What holds the main thread is
    interrupted by a signal whose handler raises; another thread cannot be interrupted, its stack is printed,
    and so it is where the app has taken the signal for itself.
    C code that keeps the lock of the interpreter, like a backtracking regular expression, keeps it from that
    thread, too: then a timer of the kernel, which the thread sets anew with every look, sends the signal.

    Args:
        seconds: real seconds that each use may take.
        timer: a clock of real seconds.
    """

    def __init__(self, seconds: float, timer: Callable[[], float]) -> None:
        self._seconds = seconds
        self._timer = timer
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._owner = 0
        self._interrupts = False
        self._has_timer = False
        self._looked_s = 0.0
        self._uses = 0
        self._active = False
        self._cancels = 0
        self._overdue: IterationTimeout | None = None

    def start(self) -> None:
        """Look after the calling thread and its running task, if there is one."""
        self._owner = threading.get_ident()
        try:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        except RuntimeError:
            self._loop = self._task = None
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and _SIGNAL and signal.getsignal(_SIGNAL) is signal.SIG_DFL:
            signal.signal(_SIGNAL, self._interrupt)
            self._interrupts = True
            if signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL:
                signal.signal(signal.SIGVTALRM, self._interrupt_starved)
                self._has_timer = True
                # The first iteration may starve the thread before its first look.
                self._looked_s = self._timer()
                signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
        self._thread = threading.Thread(target=self._run, name="pytest-memleak deadline", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; a second call does nothing."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._has_signal() and _SIGNAL:
            signal.signal(_SIGNAL, signal.SIG_DFL)
        self._interrupts = False
        if self._keeps_timer():
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
        self._has_timer = False

    @contextlib.contextmanager
    def stretched(self, times: float) -> Iterator[None]:
        """Allow that many times as long, for iterations that are made slow on purpose."""
        before, self._seconds = self._seconds, self._seconds * times
        try:
            yield
        finally:
            self._seconds = before

    def __enter__(self) -> Self:
        self._uses += 1
        self._active = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active = False
        if self._overdue is None:
            return
        overdue, self._overdue = self._overdue, None
        while self._task is not None and self._cancels:
            self._task.uncancel()
            self._cancels -= 1
        raise overdue from None

    def _run(self) -> None:
        seen, since_s = 0, 0.0
        look_s = min(_LONGEST_LOOK_S, self._seconds / 10)
        while not self._stopped.wait(look_s):
            self._looked_s = self._timer()
            if self._keeps_timer():
                signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
            if not self._active or self._uses != seen:
                seen, since_s = self._uses, self._timer()
            elif self._timer() - since_s >= self._seconds:
                self._end(seen)

    def _end(self, use: int) -> None:
        """End what is running; called again with every look until it has ended."""
        frame = sys._current_frames().get(self._owner)
        if frame is None or is_in_package(frame, _DEBUGGERS):
            return
        if self._loop is None or not is_in_loop(frame):
            self._end_blocked(frame)
        if self._loop is not None:
            # In a callback or another task the exception of the signal would end that one only.
            try:
                self._loop.call_soon_threadsafe(self._cancel, use)
            except RuntimeError:  # the app has closed the loop
                return

    def _has_signal(self) -> bool:
        """Whether the signal is still ours; where the app has given it its default back, it would end the process."""
        return self._interrupts and _SIGNAL is not None and signal.getsignal(_SIGNAL) == self._interrupt

    def _keeps_timer(self) -> bool:
        """Whether the timer and its signal are still ours; the same goes for that one."""
        if not self._has_timer:
            return False
        handler = signal.getsignal(signal.SIGVTALRM)
        if handler is signal.SIG_DFL:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        self._has_timer = handler == self._interrupt_starved
        return self._has_timer

    def _end_blocked(self, frame: FrameType) -> None:
        where, is_news = of_thread(frame), self._overdue is None
        self._overdue = self._overdue or IterationTimeout(where)
        if self._has_signal() and _SIGNAL:
            signal.pthread_kill(self._owner, _SIGNAL)
        elif is_news and sys.__stderr__ is not None:
            sys.__stderr__.write("\n".join(("memleak: this thread is blocked:", *where.stack, "")))

    def _cancel(self, use: int) -> None:
        """Cancel the task of the test, in its loop."""
        task = self._task
        if self._active and use == self._uses and task is not None:
            self._overdue = self._overdue or IterationTimeout(of_task(task))
            self._cancels += 1
            task.cancel()

    def _interrupt_starved(self, number: int, frame: FrameType | None) -> None:
        """The timer counts the CPU time of all threads: only if the looks are missing is the thread starved."""
        if self._timer() - self._looked_s < self._seconds:
            signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds / 10)
        elif self._active and frame is not None and not is_in_package(frame, _DEBUGGERS):
            self._overdue = self._overdue or IterationTimeout(of_thread(frame))
            raise self._overdue

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._active and self._overdue is not None:
            raise self._overdue
