"""Where a thread is and where a task waits, as lines of code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

from pytest_memleak import origin
from pytest_memleak.model import Site

_LOOPS = frozenset({"asyncio", "selectors", "uvloop"})
_RUNS_LOOP = frozenset({"run_forever", "run_until_complete", "run"})
_DEEPEST = 100
_SHOWN = 16


class Whereabouts(NamedTuple):
    """A stack at one moment.

    Args:
        site: the innermost line of the app's own code, else of a dependency's, None where there is neither.
        stack: its lines as text, the innermost last.
        waits: whether a task waits there on its loop; else a thread is held there.
    """

    site: Site | None
    stack: tuple[str, ...]
    waits: bool


def of_thread(frame: FrameType) -> Whereabouts:
    """Where the thread is whose innermost frame is `frame`, down to its event loop or the plugin's own code."""
    inner = []
    for place in _outwards(frame):
        if place.f_code.co_name in _RUNS_LOOP or _module(place) == "pytest_memleak.run":
            break
        inner.append((place.f_code, place.f_lineno))
    return _whereabouts(inner, waits=False)


def of_task(task: asyncio.Task[Any]) -> Whereabouts:
    """Where a suspended task waits, through the tasks that it awaits."""
    chain: list[tuple[CodeType, int]] = []
    awaiting: Any = task.get_coro()
    for _ in range(_DEEPEST):
        frame, awaited = _step(awaiting)
        if frame is None:
            waiter = getattr(task, "_fut_waiter", None)
            if not isinstance(waiter, asyncio.Task):
                break
            task, awaited = waiter, waiter.get_coro()
        elif _module(frame) != "pytest_memleak.run":
            chain.append((frame.f_code, frame.f_lineno))
        awaiting = awaited
    return _whereabouts(chain[::-1], waits=True)


def is_in_loop(frame: FrameType) -> bool:
    """Whether the thread is in its event loop and the loop runs nobody's code just now."""
    for place in _outwards(frame):
        module = _module(place)
        if module.partition(".")[0] not in _LOOPS and not module.startswith("pytest_memleak.simtime"):
            return False
        if module == "asyncio.events":  # a callback runs; it may be C code without a frame of its own
            return False
        if place.f_code.co_name in _RUNS_LOOP:
            return True
    return False


def is_in_package(frame: FrameType, packages: frozenset[str]) -> bool:
    """Whether the thread runs code of one of these packages."""
    return any(_module(place).partition(".")[0] in packages for place in _outwards(frame))


def _whereabouts(inwards_first: list[tuple[CodeType, int]], *, waits: bool) -> Whereabouts:
    sites: dict[origin.Kind, Site] = {}
    inwards_first = [place for place in inwards_first if origin.kind_of(place[0].co_filename) != "plugin"]
    for code, line in inwards_first:
        site = Site(path=code.co_filename, line=line, function=code.co_qualname)
        sites.setdefault(origin.kind_of(code.co_filename), site)
    lines = [f"{code.co_filename}:{line} in {code.co_qualname}" for code, line in inwards_first[:_SHOWN]]
    return Whereabouts(sites.get("app") or sites.get("dependency"), tuple(reversed(lines)), waits)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _step(awaiting: Any) -> tuple[FrameType | None, Any]:
    """The frame of a suspended coroutine, generator or async generator, and what it awaits."""
    for prefix, awaited in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
        if hasattr(awaiting, awaited):
            return getattr(awaiting, f"{prefix}_frame"), getattr(awaiting, awaited)
    return None, None
