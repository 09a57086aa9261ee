"""Live bytes from the heap's counters and the number of Python's small blocks. Pure.

`heap_info` does not see objects of 512 bytes and less, which Python keeps in arenas of its own, and the
interpreter counts those only as blocks. Their bytes are known exactly at a few calibrations; between
two calibrations each block counts as what the blocks gained between them measured on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

SMALLEST_BLOCK, USUAL_BLOCK, LARGEST_BLOCK = 16.0, 96.0, 512.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The exact state of the small-block allocator after one iteration.

    Args:
        at: index of the sample it was read with.
        blocks: allocated blocks.
        used_bytes: bytes in those blocks.
        arena_bytes: bytes the allocator holds from the system for them.
    """

    at: int
    blocks: int
    used_bytes: int
    arena_bytes: int

    def shifted(self, by: int) -> Calibration:
        """The same state in a series that starts `-by` samples later."""
        return replace(self, at=self.at + by)


def calibration_points(first: int, last: int) -> list[int]:
    """The iterations to calibrate after, each a quarter later than the one before.

    An app's own first-use blocks are smaller than what it leaks, and come ever more seldom (measured on FastAPI:
    of 50 bytes, 25 an iteration after the tenth, 3 after the fiftieth). Averaged over the whole run they count as
    large ones, and the rate after the warm-up reads 10 % low.

    Args:
        first: the earliest one.
        last: the last iteration of the run.
    """
    points = []
    while first < last:
        points.append(first)
        first += max(2, first // 4)
    return points


def live_series(
    heap_bytes: Sequence[int],
    blocks: Sequence[int],
    calibrations: Sequence[Calibration] = (),
    block_bytes: float = USUAL_BLOCK,
) -> list[float]:
    """Live bytes per iteration.

    Args:
        heap_bytes: used bytes of the C heap; empty where the platform cannot say.
        blocks: allocated small blocks.
        calibrations: in order of `at`; without at least two every block counts as `block_bytes`.
        block_bytes: bytes a block counts where nothing is calibrated.
    """
    heap: Sequence[float] = heap_bytes or [0] * len(blocks)
    small = [count * block_bytes for count in blocks]
    for earlier, later in pairwise(calibrations):
        _calibrate(small, blocks, earlier, later)
    if len(calibrations) > 1:
        # Past the last calibration the series continues from where that one left it.
        end = calibrations[-1]
        for i in range(end.at + 1, len(small)):
            small[i] = small[end.at] + (blocks[i] - blocks[end.at]) * block_bytes
        # Before the first one too, so that the series has no seam.
        start = calibrations[0]
        for i in range(start.at):
            small[i] = small[start.at] + (blocks[i] - blocks[start.at]) * block_bytes
    return [h + s for h, s in zip(heap, small, strict=True)]


def _calibrate(small: list[float], blocks: Sequence[int], earlier: Calibration, later: Calibration) -> None:
    """Put the samples from `earlier` to `later` on the exact bytes known at both ends."""
    span = later.at - earlier.at
    gained_blocks = later.blocks - earlier.blocks
    gained_bytes = later.used_bytes - earlier.used_bytes
    each = gained_bytes / gained_blocks if gained_blocks else USUAL_BLOCK
    each = min(max(each, SMALLEST_BLOCK), LARGEST_BLOCK)
    # What the average block cannot explain (small ones replaced by large ones) came evenly, as far as is known.
    unexplained = gained_bytes - each * gained_blocks
    for i in range(earlier.at, later.at + 1):
        share = (i - earlier.at) / span if span else 1.0
        small[i] = earlier.used_bytes + each * (blocks[i] - earlier.blocks) + unexplained * share
