"""Which lines allocate what stays: tracemalloc for a few iterations, started only now.

Two windows. With one frame per allocation (5 times slower than plain) the lines whose memory grew in
both halves of 12 iterations; then, for these lines only, with 16 frames for three iterations, which
line of the app led there (see `lines`). Where the app's lines grew by more than the run did, the first
window becomes longer: a batch that is given back every hundred iterations looks like a leak until then.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_memleak.explain import wording
from pytest_memleak.explain.lines import Line, Place, Rates, Stack, attribute, rank
from pytest_memleak.explain.reach import is_tool
from pytest_memleak.explain.watch import BYTES_PER_BLOCK, Step
from pytest_memleak.origin import kind_of, package_of

SETTLE_ITERATIONS = 3
MOST_SETTLING = 18
"""Iterations before the first snapshot: some at least, and no more than so many."""
LOOKS = (12, 24, 48, 96)
"""Iterations after which the lines are judged; the later ones only where the earlier are in doubt."""
STACK_ITERATIONS = 3
STACK_FRAMES = 16
ROWS = 5
Sizes = Mapping[Place, tuple[int, int]]  # bytes and blocks
_SMALL = 512  # pymalloc serves objects up to this size


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """All growing lines, the most telling first, and their sum.

    Args:
        rows: the lines.
        harness: those of the client that sends the requests, where the others explain less than half.
        bytes_per_iteration: the sum of the lines, without the client's.
        live_bytes_per_iteration: the sum as the live-bytes sensor counts it, small objects by number.
        note: why something is missing.
    """

    rows: tuple[Line, ...] = ()
    harness: tuple[Line, ...] = ()
    bytes_per_iteration: float = 0.0
    live_bytes_per_iteration: float = 0.0
    note: str | None = None

    def with_harness(self) -> Lines:
        """The client's lines among the others: nothing else was found that grows."""
        size = sum(row.bytes_per_iteration for row in self.harness)
        return replace(
            self,
            rows=rank(self.rows + self.harness)[:ROWS],
            bytes_per_iteration=self.bytes_per_iteration + size,
            live_bytes_per_iteration=self.live_bytes_per_iteration + size,
        )


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


async def growing_lines(step: Step, expected_bytes: float = 0.0, in_time: Callable[[], bool] | None = None) -> Lines:
    """Run some iterations under tracemalloc and say which lines keep memory.

    Args:
        step: runs one iteration.
        expected_bytes: the growth per iteration that is to be explained. Lines that grew in one half
            only, resized buffers, are named where the steady lines explain less than half of it.
        in_time: whether there is time to look longer where that is needed; by default there is.

    Returns:
        The lines. Tracing that the app or the user started is used and left running.
    """
    async with _tracing(1):
        await _settle(step, expected_bytes)
        steady, once, looked_at = await _growing_leaves(step, expected_bytes, in_time or (lambda: True))
    leaves = {**once, **steady}
    if not leaves:
        return Lines()
    async with _tracing(STACK_FRAMES) as frames:
        stacks = await _stacks(step, leaves) if frames > 1 else {}
    found = attribute(steady, stacks, steady=True)
    rows = [row for row in found if not row.is_harness]
    live = sum(as_live_bytes(row.bytes_per_iteration, row.blocks_per_iteration) for row in rows)
    total = sum(row.bytes_per_iteration for row in rows)
    if total < expected_bytes / 2 or not any(row.is_app and not row.is_driver for row in rows):
        resized = [row for row in attribute(once, stacks, steady=False) if not row.is_harness]
        rows += resized
        total = max(total, min(expected_bytes, total + sum(row.bytes_per_iteration for row in resized)))
    return Lines(
        rows=rank(rows)[:ROWS],
        harness=tuple(row for row in found if row.is_harness) if total < expected_bytes / 2 else (),
        bytes_per_iteration=total,
        live_bytes_per_iteration=max(total, live),
        note="; ".join(_notes(frames, _own_sum(steady), expected_bytes, looked_at)) or None,
    )


def _notes(frames: int, kept_bytes: float, expected_bytes: float, looked_at: int) -> Iterator[str]:
    if frames == 1:
        yield _ONE_FRAME
    if _is_too_much(kept_bytes, expected_bytes):
        yield (
            f"the app's lines keep {wording.size(kept_bytes)} per iteration, but memory grew by "
            f"{wording.size(expected_bytes)}: some of it takes the place of what is freed, or is given back later "
            f"than in the {looked_at} iterations looked at"
        )


async def _settle(step: Step, expected_bytes: float) -> None:
    """Wait until traced memory rises evenly.

    The blocks that each iteration renews, such as names in the interpreter's method cache, are old ones at first,
    which were never traced, and traced ones later: that looks like growth for a while.
    """
    traced = [tracemalloc.get_traced_memory()[0]]
    while len(traced) <= MOST_SETTLING // SETTLE_ITERATIONS:
        await _repeat(step, SETTLE_ITERATIONS)
        traced.append(tracemalloc.get_traced_memory()[0])
        rises = [after - before for before, after in itertools.pairwise(traced)][-2:]
        if len(rises) == 2 and rises[0] - rises[1] <= 0.1 * expected_bytes * SETTLE_ITERATIONS:
            break


def as_live_bytes(size: float, blocks: float) -> float:
    """What the live-bytes sensor sees of a line: pymalloc's small blocks count alike."""
    return blocks * BYTES_PER_BLOCK if size <= _SMALL * blocks else size


_ONE_FRAME = (
    "tracemalloc was already running with one frame: the lines are those that allocate, not the app's "
    "lines that led there (start it with tracemalloc.start(16) to see them)"
)


async def _growing_leaves(step: Step, expected_bytes: float, in_time: Callable[[], bool]) -> tuple[Rates, Rates, int]:
    """Bytes and blocks per iteration of each line: what grew in all stretches, what in some; the iterations.

    Looks longer where nothing grew (a large buffer is resized seldom) and where too much did.
    """
    marks = [(0, by_line())]
    for done in (LOOKS[0] // 2, *LOOKS):
        await _repeat(step, done - marks[-1][0])
        marks.append((done, by_line()))
        if done < LOOKS[0]:
            continue
        steady, once = by_steadiness(marks)
        clear = expected_bytes <= 0 or ((steady or once) and not _is_too_much(_own_sum(steady), expected_bytes))
        if clear or not in_time():
            break
    return steady, once, done


def by_steadiness(marks: Sequence[tuple[int, Sizes]]) -> tuple[Rates, Rates]:
    """The lines that grew in every stretch between two marks, and those that grew all the same.

    Args:
        marks: iterations done, and the bytes and blocks of each line then.

    Returns:
        Bytes and blocks per iteration. The slowest stretch counts: a buffer that was there before is counted as a
        whole when it is resized. A line that gave memory back in a stretch is in neither, unless it was little.
    """
    stretches = [growth_of(before, after, end - start) for (start, before), (end, after) in itertools.pairwise(marks)]
    steady = {
        place: (min(growth[place][0] for growth in stretches), min(growth[place][1] for growth in stretches))
        for place in set(stretches[0]).intersection(*stretches)
    }
    (start, first), (end, last) = marks[0], marks[-1]
    once = {}
    for place, rate in growth_of(first, last, end - start).items():
        sizes = [lines.get(place, (0, 0))[0] for _, lines in marks]
        given_back = max(before - after for before, after in itertools.pairwise(sizes))
        if place not in steady and given_back <= _SMALL:
            once[place] = rate
    return steady, once


def _own_sum(leaves: Rates) -> float:
    """What the lines in the app's own code keep, at least: to a sensor that cannot calibrate all blocks are alike."""
    own = (rate for (path, _), rate in leaves.items() if kind_of(path) == "app")
    return sum(min(size, as_live_bytes(size, blocks)) for size, blocks in own)


def _is_too_much(kept_bytes: float, expected_bytes: float) -> bool:
    """Whether lines keep clearly more than there is to explain."""
    return expected_bytes > 0 and kept_bytes > 1.3 * expected_bytes + _SMALL


def growth_of(first: Sizes, last: Sizes, iterations: int) -> Rates:
    """Bytes and blocks per iteration of the lines that grew from `first` to `last`."""
    growth: Rates = {}
    for place, (size, blocks) in last.items():
        start_size, start_blocks = first.get(place, (0, 0))
        if size > start_size and not _is_own(place[0]):
            growth[place] = ((size - start_size) / iterations, (blocks - start_blocks) / iterations)
    return growth


async def _stacks(step: Step, leaves: Mapping[Place, object]) -> dict[Place, dict[Stack, int]]:
    """How the growing lines were reached: bytes by stack, for each of them."""
    await _repeat(step, 1)
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
