"""The same decision on memory that was sampled elsewhere: at irregular times, across restarts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pytest_memleak.judge.decision import Standing
from pytest_memleak.judge.growth import differences, median
from pytest_memleak.judge.memory import Readings, look_at_memory
from pytest_memleak.judge.outcome import Measured, conclude
from pytest_memleak.settings import FEWEST_ITERATIONS, Settings
from pytest_memleak.verdict import Verdict

_MOST_CELLS = 1_440
_LEAST_FALL_BYTES = 16_000_000
_GAP_CELLS = 10
"""Cells without a sample in a row that are worth a word."""
_FILLING_S = 6 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Resident memory of one process over time.

    Args:
        name: of the process or the file.
        times_s: ascending.
        rss_bytes: at those times.
    """

    name: str
    times_s: Sequence[float]
    rss_bytes: Sequence[float]

    def part(self, first: int, end: int) -> Series:
        """The samples from `first` up to but not including `end`."""
        return replace(self, times_s=self.times_s[first:end], rss_bytes=self.rss_bytes[first:end])


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A series on a regular grid.

    Args:
        step_s: seconds of one cell.
        rss_bytes: the least of each cell, since what is retained is asked for.
        longest_gap_s: the longest time without a sample.
    """

    step_s: float
    rss_bytes: Sequence[int]
    longest_gap_s: float


def restarts(series: Series) -> list[int]:
    """The samples at which another process begins.

    Memory falls in one step to less than half and close to where it began: freed memory seldom comes back
    that completely.
    """
    found: list[int] = []
    start = 0
    for i, (before, after) in enumerate(pairwise(series.rss_bytes), 1):
        began = min(series.rss_bytes[start : start + 3])
        if after < before / 2 and before - after > _LEAST_FALL_BYTES and after < 1.5 * began:
            found.append(i)
            start = i
    return found


def segments(series: Series) -> list[Series]:
    """The series cut where the process restarted."""
    cuts = [0, *restarts(series), len(series.times_s)]
    return [series.part(first, end) for first, end in pairwise(cuts)]


def on_grid(series: Series) -> Grid:
    """Resample to a regular grid, of the usual interval or so much wider that there are not too many cells.

    Cells without a sample lie on the line between their neighbours.
    """
    steps = differences(series.times_s)
    span_s = series.times_s[-1] - series.times_s[0]
    step_s = max(median(steps), span_s / (_MOST_CELLS - 1))
    cells: dict[int, float] = {}
    for time_s, size in zip(series.times_s, series.rss_bytes, strict=True):
        # Half a cell of tolerance, so that jitter around the grid's times does not empty a cell.
        cell = int((time_s - series.times_s[0]) / step_s + 0.5)
        cells[cell] = min(size, cells.get(cell, size))
    return Grid(step_s=step_s, rss_bytes=[round(size) for size in _filled(cells)], longest_gap_s=max(steps))


def _filled(cells: dict[int, float]) -> Iterator[float]:
    known = sorted(cells)
    yield cells[known[0]]
    for left, right in pairwise(known):
        rise = (cells[right] - cells[left]) / (right - left)
        yield from (cells[left] + rise * (i - left) for i in range(left + 1, right + 1))


def is_long_enough(series: Series) -> bool:
    """Whether there are samples enough for a growth rate."""
    return len(series.times_s) >= FEWEST_ITERATIONS


def judge_series(series: Series, settings: Settings, memory_limit_bytes: int) -> Verdict:
    """Decide on the memory of one process, as on the last look of a run.

    Args:
        series: without restarts, long enough.
        settings: budget and traffic; the looks and the step are those of the series.
        memory_limit_bytes: for the forecast.
    """
    grid = on_grid(series)
    count = len(grid.rss_bytes)
    settings = replace(settings, profile="series", step_s=grid.step_s, first_look=count, last_look=count)
    each = settings.traffic_per_s * grid.step_s if settings.traffic_per_s else 0.0
    readings = Readings(
        rss_bytes=grid.rss_bytes,
        vms_bytes=(),
        heap_bytes=(),
        blocks=[0] * count,
        calibrations=(),
        requests=round(each * count),
    )
    measured = Measured(
        settings=settings,
        readings=readings,
        requests_by_iteration=[round(each * (i + 1)) for i in range(count)] if each else (),
        requests=round(each * count) if each else None,
        failed_requests=0,
        routes={},
        rss_peak_bytes=round(max(series.rss_bytes)),
        memory_limit_bytes=memory_limit_bytes,
        real_s=0.0,
        total_s=0.0,
    )
    look = look_at_memory(readings, budget=measured.budget_bytes, standing=Standing(), last=True)
    # Live bytes are not known here: the one sensor there is speaks for both, and only it is reported.
    verdict = conclude(measured, replace(look, live_growth=look.rss_growth))
    samples = {name: column for name, column in verdict.samples.items() if name != "live_bytes"}
    notes = verdict.notes
    if grid.longest_gap_s > _GAP_CELLS * grid.step_s:
        notes = (*notes, f"no samples for {grid.longest_gap_s / 3600:.1f} h; taken for a straight line")
    if verdict.outcome == "leak" and verdict.simulated_s < _FILLING_S:
        notes = (*notes, "a cache that fills looks like this for some hours; judge a longer time to be sure")
    return replace(verdict, live=None, samples=samples, notes=notes)
