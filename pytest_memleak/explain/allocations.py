"""Which lines allocate what stays: tracemalloc for a few iterations, started only now.

Two windows. With one frame per allocation (5 times slower than plain) the lines whose memory grew in
both halves of 16 iterations; then, for these lines only, with 16 frames for four iterations, which
line of the app led there. A line of the app's own code is named first; what a dependency or the
standard library allocates on its behalf is counted for the app's innermost line on the stack. The
walk up the stack ends where the app was called: at this plugin's transport or at httpx's.
"""

from __future__ import annotations

import collections
import contextlib
import gc
import linecache
import os
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_memleak.explain import wording
from pytest_memleak.explain.reach import is_tool
from pytest_memleak.explain.watch import Step
from pytest_memleak.model import Finding, Site
from pytest_memleak.origin import kind_of, owner_of, package_of

SETTLE_ITERATIONS = 5
LINE_ITERATIONS = 16
STACK_ITERATIONS = 4
STACK_FRAMES = 16
ROWS = 5
_ASGI_CLIENT = os.path.join("httpx", "_transports", "asgi.py")

Place = tuple[str, int]
Stack = tuple[Place, ...]  # the innermost frame first


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of code and the growth it leads to.

    Args:
        site: the app's line where one is on the stack, else the line that allocates.
        bytes_per_iteration: growth counted for it.
        blocks_per_iteration: the same in allocations.
        inside: the lines that really allocate, when they are not this one, the largest first.
        stack: how the largest of them is reached, the innermost frame first.
    """

    site: Site
    bytes_per_iteration: float
    blocks_per_iteration: float
    inside: tuple[Site, ...] = ()
    stack: tuple[Site, ...] = ()

    @property
    def is_app(self) -> bool:
        return kind_of(self.site.path) == "app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """All growing lines, the most telling first, and their sum."""

    rows: tuple[Line, ...] = ()
    bytes_per_iteration: float = 0.0
    blocks_per_iteration: float = 0.0
    note: str | None = None


@contextlib.asynccontextmanager
async def _tracing(frames: int) -> AsyncIterator[int]:
    """Trace with `frames` frames, or as somebody else already does; gives the frames there are."""
    if tracemalloc.is_tracing():
        yield tracemalloc.get_traceback_limit()
        return
    tracemalloc.start(frames)
    try:
        yield frames
    finally:
        tracemalloc.stop()


async def growing_lines(step: Step) -> Lines:
    """Run some iterations under tracemalloc and say which lines keep memory.

    Args:
        step: runs one iteration.

    Returns:
        The lines. Tracing that the app or the user started is used and left running.
    """
    async with _tracing(1) as frames:
        leaves = await _growing_leaves(step)
    if not leaves:
        return Lines()
    async with _tracing(STACK_FRAMES) as frames:
        stacks = await _stacks(step, leaves) if frames > 1 else {}
    note = None
    if frames == 1:
        note = (
            "tracemalloc was already running with one frame: the lines are those that allocate, "
            "not the app's lines that led there (start it with tracemalloc.start(16) to see them)"
        )
    rows = rank(_attribute(leaves, stacks))
    return Lines(
        rows=rows[:ROWS],
        bytes_per_iteration=sum(growth for growth, _ in leaves.values()),
        blocks_per_iteration=sum(blocks for _, blocks in leaves.values()),
        note=note,
    )


async def _growing_leaves(step: Step) -> dict[Place, tuple[float, float]]:
    """Bytes and blocks per iteration of each line that grew in both halves."""
    half = LINE_ITERATIONS // 2
    await _repeat(step, SETTLE_ITERATIONS)
    first = by_line()
    await _repeat(step, half)
    middle = by_line()
    await _repeat(step, half)
    last = by_line()
    growing = growth_of(first, middle, half).keys() & growth_of(middle, last, half).keys()
    return {place: rate for place, rate in growth_of(first, last, 2 * half).items() if place in growing}


def growth_of(
    first: Mapping[Place, tuple[int, int]], last: Mapping[Place, tuple[int, int]], iterations: int
) -> dict[Place, tuple[float, float]]:
    """Bytes and blocks per iteration of the lines that grew from `first` to `last`."""
    growth: dict[Place, tuple[float, float]] = {}
    for place, (size, blocks) in last.items():
        start_size, start_blocks = first.get(place, (0, 0))
        if size > start_size and not _is_own(place[0]):
            growth[place] = ((size - start_size) / iterations, (blocks - start_blocks) / iterations)
    return growth


async def _stacks(step: Step, leaves: Mapping[Place, object]) -> dict[Place, dict[Stack, int]]:
    """How the growing lines were reached: bytes by stack, for each of them."""
    await _repeat(step, 2)
    before = _by_stack(leaves)
    await _repeat(step, STACK_ITERATIONS)
    after = _by_stack(leaves)
    stacks: dict[Place, dict[Stack, int]] = {}
    for stack, size in after.items():
        grown = size - before.get(stack, 0)
        if grown > 0:
            stacks.setdefault(stack[0], {})[stack] = grown
    return stacks


async def _repeat(step: Step, iterations: int) -> None:
    for _ in range(iterations):
        await step()
    gc.collect()


def by_line() -> dict[Place, tuple[int, int]]:
    """Bytes and blocks traced now, by the line that allocated them."""
    statistics = tracemalloc.take_snapshot().statistics("lineno")
    return {(entry.traceback[0].filename, entry.traceback[0].lineno): (entry.size, entry.count)
            for entry in statistics}  # fmt: skip


def _by_stack(leaves: Mapping[Place, object]) -> dict[Stack, int]:
    sizes: dict[Stack, int] = {}
    for entry in tracemalloc.take_snapshot().statistics("traceback"):
        stack = tuple((frame.filename, frame.lineno) for frame in reversed(entry.traceback))
        if stack[0] in leaves:
            sizes[stack] = sizes.get(stack, 0) + entry.size
    return sizes


def _is_own(path: str) -> bool:
    """Memory of the measurement, of pytest and of the other tools of the run."""
    return kind_of(path) == "plugin" or path == tracemalloc.__file__ or is_tool(package_of(path) or "")


def app_frame(stack: Stack) -> Place | None:
    """The app's innermost line on a stack; None when the stack leaves the app before one is met."""
    for place in stack:
        kind = kind_of(place[0])
        if kind == "plugin" or place[0].endswith(_ASGI_CLIENT):
            return None
        if kind == "app":
            return place
    return None


def _attribute(
    leaves: Mapping[Place, tuple[float, float]], stacks: Mapping[Place, Mapping[Stack, int]]
) -> list[Line]:
    """Count the growth of each allocating line for the app's lines that lead to it."""
    sums: dict[Place, list[float]] = {}
    inside: dict[Place, collections.Counter[Place]] = {}
    largest: dict[Place, tuple[float, Stack]] = {}
    for leaf, (size, blocks) in leaves.items():
        ways = stacks.get(leaf) or {(leaf,): 1}
        total = sum(ways.values())
        for stack, weight in ways.items():
            place = app_frame(stack) or leaf
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
        )
        for place, (size, blocks) in sums.items()
    ]


def _sites(places: Iterable[Place]) -> tuple[Site, ...]:
    return tuple(Site(path=path, line=line) for path, line in places)


def rank(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The app's own first, unless they are a trifle; then by bytes."""
    total = sum(line.bytes_per_iteration for line in lines)
    return tuple(
        sorted(
            (line for line in lines if line.bytes_per_iteration >= 0.01 * total),
            key=lambda line: (
                not (line.is_app and line.bytes_per_iteration >= 0.05 * total),
                -line.bytes_per_iteration,
                line.site.path,
                line.site.line,
            ),
        )
    )


def line_finding(line: Line, total_bytes: float, root: str) -> Finding:
    """One row of the report: the line, its rate, its text, what allocates inside, the stack."""
    where = wording.place(line.site.path, root)
    source = linecache.getline(line.site.path, line.site.line).strip()
    details = [source] if source else []
    details += [
        f"allocated inside {wording.place(site.path, root)}:{site.line} ({owner_of(site.path)})"
        for site in line.inside
    ]
    callers = [site for site in line.stack if kind_of(site.path) in ("app", "dependency")][:8]
    if len(callers) > 1:
        details.append("stack, innermost first:")
        details += [f"  {wording.place(site.path, root)}:{site.line}" for site in callers]
    return Finding(
        kind="allocation",
        summary=(
            f"{where}:{line.site.line} ({owner_of(line.site.path)}) keeps "
            f"{wording.size(line.bytes_per_iteration)} in {wording.count(line.blocks_per_iteration)} "
            f"allocations per iteration, {wording.percent(line.bytes_per_iteration, total_bytes)} of the "
            "growth in Python's memory"
        ),
        details=tuple(details),
        path=line.site.path,
        line=line.site.line,
    )
