"""Whose line a growing allocation counts for, and in which order lines are told.

A line of the app's own code is named first; what a dependency or the standard library allocates on
its behalf counts for the app's innermost line on the stack. The walk up the stack ends where the
app was called: at this plugin's transport or at httpx's.
"""

from __future__ import annotations

import collections
import itertools
import linecache
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_memleak.explain import wording
from pytest_memleak.explain.reach import is_tool
from pytest_memleak.model import Finding, Site
from pytest_memleak.origin import kind_of, owner_of, package_of

Place = tuple[str, int]
Stack = tuple[Place, ...]  # the innermost frame first
Rates = dict[Place, tuple[float, float]]  # bytes and blocks per iteration

_MOST_CALLERS = 8
_EXPLAIN = os.path.dirname(os.path.abspath(__file__))
_ASGI_CLIENT = os.path.join("httpx", "_transports", "asgi.py")
_CLIENT = os.path.join("httpx", "_client.py")
_APP_DOOR = os.path.join("pytest_memleak", "drive", "app.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of code and the growth it leads to.

    Args:
        site: the app's line where one is on the stack, else the line that allocates.
        bytes_per_iteration: growth counted for it.
        blocks_per_iteration: the same in allocations.
        inside: the lines that really allocate, when they are not this one, the largest first.
        stack: how the largest of them is reached, the innermost frame first.
        is_steady: whether it grew throughout; else in one stretch only, as a buffer being resized.
        is_driver: whether the test's body calls it, rather than the app that serves the requests.
    """

    site: Site
    bytes_per_iteration: float
    blocks_per_iteration: float
    inside: tuple[Site, ...] = ()
    stack: tuple[Site, ...] = ()
    is_steady: bool = True
    is_driver: bool = False

    @property
    def is_app(self) -> bool:
        return kind_of(self.site.path) == "app"

    @property
    def is_harness(self) -> bool:
        """Whether it is the client that sends the requests, not the app: the stack never comes to the app's door."""
        in_client = False
        for site in self.stack:
            kind = kind_of(site.path)
            if site.path.endswith(_APP_DOOR) or (kind == "app" and not in_client):
                return False
            if kind == "plugin" or site.path.endswith(_ASGI_CLIENT):
                return True
            in_client = in_client or site.path.endswith(_CLIENT)
        return False


def dependency_frame(stack: Stack) -> Place | None:
    """The innermost line of a dependency on a stack that only the standard library's lead to, tools left out."""
    for place in stack:
        if kind_of(place[0]) != "python":
            return place if kind_of(place[0]) == "dependency" and not is_tool(package_of(place[0]) or "") else None
    return None


def app_frame(stack: Stack) -> Place | None:
    """The app's innermost line on a stack; None when the stack leaves the app before one is met."""
    for place in stack:
        kind = kind_of(place[0])
        if kind == "plugin" or place[0].endswith(_ASGI_CLIENT):
            return None
        if kind == "app":
            return place
    return None


def inside_door(paths: Sequence[str]) -> int:
    """How many frames of a stack, given the innermost first, lie inside the app's door; all where it has none."""
    kinds = [kind_of(path) for path in paths]
    doors = (i for i, path in enumerate(paths) if kinds[i] == "plugin" or path.endswith(_ASGI_CLIENT))
    return next((i for i in doors if "app" in kinds[:i]), len(paths))


def is_driver(stack: Stack) -> bool:
    """Whether a stack goes from the app's innermost line to the explanation, not passing the app's door."""
    inner = app_frame(stack)
    outward = stack[stack.index(inner) :] if inner is not None else ()
    for path, _ in outward:
        if path.endswith(_ASGI_CLIENT):
            return False
        if kind_of(path) == "plugin":
            return path.startswith(_EXPLAIN)
    return False


def attribute(leaves: Rates, stacks: Mapping[Place, Mapping[Stack, int]], *, steady: bool) -> list[Line]:
    """Count the growth of each allocating line for the app's line that leads to it, else for a dependency's."""
    sums: dict[Place, list[float]] = {}
    inside: dict[Place, collections.Counter[Place]] = {}
    largest: dict[Place, tuple[float, Stack]] = {}
    for leaf, (size, blocks) in leaves.items():
        ways = stacks.get(leaf) or {(leaf,): 1}
        total = sum(ways.values())
        for stack, weight in ways.items():
            place = app_frame(stack) or dependency_frame(stack) or leaf
            share = weight / total
            counted = sums.setdefault(place, [0.0, 0.0])
            counted[0] += size * share
            counted[1] += blocks * share
            if place != leaf:
                inside.setdefault(place, collections.Counter())[leaf] += int(size * share)
            largest[place] = max(largest.get(place, (0.0, stack)), (size * share, stack))
    return [
        Line(
            site=Site(path=place[0], line=place[1]),
            bytes_per_iteration=size,
            blocks_per_iteration=blocks,
            inside=_sites(leaf for leaf, _ in inside.get(place, collections.Counter()).most_common(3)),
            stack=_sites(largest[place][1]),
            is_steady=steady,
            is_driver=is_driver(largest[place][1]),
        )
        for place, (size, blocks) in sums.items()
    ]


def _sites(places: Iterable[Place]) -> tuple[Site, ...]:
    return tuple(Site(path=path, line=line) for path, line in places)


def rank(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The app's own first, then by bytes; what was only resized and trifles after the steady ones.

    A line of the test's body, which sends the requests, comes after the lines that serve them,
    unless it keeps most of the memory and they keep little: a dict or list that comes from a free list
    counts for the line that allocated its memory first, often one of the client's.
    """
    steady = [line for line in lines if line.is_steady]
    total = sum(line.bytes_per_iteration for line in steady)
    served = max((line.bytes_per_iteration for line in steady if line.is_app and not line.is_driver), default=0.0)
    driver_leads = 0.5 if served < 0.2 * total else 2.0

    def key(line: Line) -> tuple[int, float, str, int]:
        part = line.bytes_per_iteration / total if total else 0.0
        if (
            line.is_app
            and line.is_steady
            and not line.is_harness
            and part >= (driver_leads if line.is_driver else 0.05)
        ):
            tier = 0
        elif line.is_app and not line.is_driver and not line.is_harness:
            tier = 1
        else:
            tier = 3 if line.is_driver or line.is_harness or not line.is_steady else 2
        return (tier, -line.bytes_per_iteration, line.site.path, line.site.line)

    return tuple(sorted((line for line in lines if line.bytes_per_iteration >= 0.005 * total), key=key))


def line_finding(line: Line, total_bytes: float, root: str, per: str = "iteration") -> Finding:
    """One row of the report: the line, its rate, its text, what allocates inside, the stack.

    Args:
        line: the line.
        total_bytes: what all lines keep; 0 where that is not what grows.
        root: the directory that places are relative to.
        per: what the rate is an average over.
    """
    where = wording.place(line.site.path, root)
    source = linecache.getline(line.site.path, line.site.line).strip()
    details = [source] if source else []
    details += [
        f"allocated inside {wording.short(site.path, root)}:{site.line} ({owner_of(site.path)})" for site in line.inside
    ]
    callers = _callers(line.stack)
    if len(callers) > 1:
        details.append("stack, innermost first:")
        details += [f"  {wording.short(site.path, root)}:{site.line}" for site in callers]
    blocks = wording.counted(max(0.0, line.blocks_per_iteration), "allocation")
    share = wording.percent(line.bytes_per_iteration, total_bytes)
    return Finding(
        kind="allocation",
        summary=(
            f"{where}:{line.site.line} ({owner_of(line.site.path)}) keeps {wording.size(line.bytes_per_iteration)}"
            + (f" in {blocks}" if not blocks.startswith("0 ") else "")
            + f" per {per}"
            + (f", {share} of the growth in Python's memory" if total_bytes else "")
        ),
        details=tuple(details),
        path=line.site.path,
        line=line.site.line,
        owner=owner_of(line.site.path),
    )


def _callers(stack: Sequence[Site]) -> list[Site]:
    """The frames that tell how an allocation is reached: out to the app's outermost, not the framework around it.

    Outside of the app's door it is the test that calls.
    """
    kinds = [kind_of(site.path) for site in stack]
    stack = stack[: inside_door([site.path for site in stack])]
    kinds = kinds[: len(stack)]
    last = max((i for i, kind in enumerate(kinds) if kind == "app"), default=len(stack) - 1)
    inner = zip(stack[: last + 1], kinds, strict=False)
    shown = (site for site, kind in inner if kind in ("app", "dependency") and not is_tool(package_of(site.path) or ""))
    return list(itertools.islice(shown, _MOST_CALLERS))
