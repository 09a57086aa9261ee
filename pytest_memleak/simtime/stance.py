"""Where a thread stands, and whether it has moved since the last look."""

from __future__ import annotations

import sys
import threading
from types import CodeType
from typing import NamedTuple

# Code in which a thread waits for another thread, and code that may wait for another process.
_FOR_THREADS = frozenset({"threading", "queue"})
_FOR_PROCESSES = frozenset({"concurrent", "multiprocessing"})


class Place(NamedTuple):
    """The line of the app that a thread has come to.

    `for_thread` says that it waits there in a lock of Python's, and so for a thread that holds the clock itself.
    """

    code: CodeType
    line: int | None
    for_thread: bool


class Stance(NamedTuple):
    """A place, and how often the thread has run so far: equal ones mean that it slept all the time between."""

    place: Place
    runs: bytes


def stance_of(thread: threading.Thread) -> Stance | None:
    """Where `thread` is asleep; None while it runs, is about to (it was just woken), or has not begun."""
    frame = sys._current_frames().get(thread.ident or 0)
    inside = set()
    while frame is not None and (package := _package(frame.f_globals)) in _FOR_THREADS | _FOR_PROCESSES:
        inside.add(package)
        frame = frame.f_back
    runs = _runs(thread.native_id)
    if frame is None or runs is None:
        return None
    for_thread = bool(inside) and not inside & _FOR_PROCESSES
    return Stance(Place(frame.f_code, frame.f_lineno, for_thread), runs)


def _package(namespace: dict[str, object]) -> str:
    return str(namespace.get("__name__", "")).partition(".")[0]


def _runs(native_id: int | None) -> bytes | None:
    """How often that thread was given a processor and let it go again, None unless it is asleep now.

    Its frames alone do not tell: what was put into its queue wakes it, but it moves on only when it gets the GIL.
    """
    try:
        with open(f"/proc/self/task/{native_id}/status", "rb", buffering=0) as file:
            status = file.read() or b""
    except OSError:  # not Linux, or the thread has just ended
        return b""
    return status.partition(b"voluntary_ctxt_switches")[2] if b"\nState:\tS" in status else None
