"""What is running or waiting: asyncio tasks, threads and unfinished async generators."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterable
from types import CodeType, FrameType
from typing import Any

from pytest_memleak import origin
from pytest_memleak.model import ResourceGroup, Site

_MAX_DEPTH = 100
_NUMBERS = re.compile(r"\d+")


def async_generators(loop: asyncio.AbstractEventLoop | None) -> Collection[Any] | None:
    """The loop's own weak set of async generators that were started and are still alive.

    A hook of `sys.set_asyncgen_hooks` would be replaced each time the loop starts to run; the set
    stays. None where the loop keeps none that Python code can read (uvloop).
    """
    generators: Collection[Any] | None = getattr(loop, "_asyncgens", None)
    return generators


def describe_async_generators(loop: asyncio.AbstractEventLoop | None) -> tuple[ResourceGroup, ...]:
    """Unfinished async generators by function and the line they stopped at."""
    unfinished = [generator for generator in async_generators(loop) or () if generator.ag_frame is not None]
    return _grouped((_name_of(generator), _waits_at(generator)) for generator in unfinished)


def describe_tasks(loop: asyncio.AbstractEventLoop | None) -> tuple[ResourceGroup, ...]:
    """The loop's unfinished tasks by coroutine and the line they wait at."""
    if loop is None:
        return ()
    coroutines = [task.get_coro() for task in asyncio.all_tasks(loop)]
    # The run's own task, which holds the app's lifespan open, would be named as the app's.
    apps = [coroutine for coroutine in coroutines if not _is_own(coroutine)]
    return _grouped((_name_of(coroutine), _waits_at(coroutine)) for coroutine in apps)


def describe_threads() -> tuple[ResourceGroup, ...]:
    """The Python threads by name, its numbers left out, and the line they are at."""
    frames = sys._current_frames()
    places = []
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        places.append((_NUMBERS.sub("N", thread.name), _best(_outwards(frame))))
    return _grouped(places)


def _grouped(places: Iterable[tuple[str, Site | None]]) -> tuple[ResourceGroup, ...]:
    counts = Counter(places)
    return tuple(ResourceGroup(name=name, count=count, site=site) for (name, site), count in counts.most_common())


def _name_of(awaitable: Any) -> str:
    name: str = getattr(awaitable, "__qualname__", None) or type(awaitable).__qualname__
    return name


def _is_own(awaitable: Any) -> bool:
    code = getattr(awaitable, "cr_code", None)
    return code is not None and origin.kind_of(code.co_filename) == "plugin"


def _waits_at(awaitable: Any) -> Site | None:
    """The innermost line of the app's own code in a chain of awaits, else of a dependency's."""
    places: list[tuple[CodeType, int]] = []
    for _ in range(_MAX_DEPTH):
        frame, awaitable = _step(awaitable)
        if frame is None:
            break
        places.append((frame.f_code, frame.f_lineno))
    return _best(reversed(places))


def _step(awaitable: Any) -> tuple[FrameType | None, Any]:
    """The frame of a suspended coroutine, generator or async generator, and what it awaits."""
    for prefix, awaited in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
        if hasattr(awaitable, awaited):
            return getattr(awaitable, f"{prefix}_frame"), getattr(awaitable, awaited)
    return None, None


def _outwards(frame: FrameType | None) -> Iterable[tuple[CodeType, int]]:
    while frame is not None:
        yield frame.f_code, frame.f_lineno
        frame = frame.f_back


def _best(places: Iterable[tuple[CodeType, int]]) -> Site | None:
    """The first place in the app's own code, else in a dependency; Python's own says nothing."""
    chosen: dict[origin.Kind, Site] = {}
    for code, line in places:
        kind = origin.kind_of(code.co_filename)
        if kind not in chosen:
            chosen[kind] = Site(path=code.co_filename, line=line, function=code.co_qualname)
    return chosen.get("app") or chosen.get("dependency")
