"""Both memory sensors together: the outcome of a look, and when growth of RSS alone is innocent. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_memleak.judge.decision import SensorLook, Standing, lasting_growth, look
from pytest_memleak.judge.growth import reported_growth, warm_up_end
from pytest_memleak.judge.live import (
    LARGEST_BLOCK,
    SMALLEST_BLOCK,
    USUAL_BLOCK,
    Calibration,
    live_series,
)
from pytest_memleak.model import Growth

LookOutcome = Literal["continue", "passed", "leak", "inconclusive"]

_RSS_FLOOR_BYTES = 400_000
_RSS_FLOOR_BYTES_PER_REQUEST = 100
"""What RSS of a clean app creeps: measured 0.1-0.4 MB once, and 15-100 bytes a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The memory columns of a run up to one iteration, the first sample left out.

    Args:
        rss_bytes: resident bytes.
        vms_bytes: mapped bytes; empty where unknown.
        heap_bytes: used bytes of the C heap; empty where unknown.
        blocks: Python's small blocks.
        traced_bytes: traced bytes; empty unless the run is traced.
        calibrations: exact states of the small-block allocator.
        requests: requests served in these iterations.
    """

    rss_bytes: Sequence[int]
    vms_bytes: Sequence[int]
    heap_bytes: Sequence[int]
    blocks: Sequence[int]
    traced_bytes: Sequence[int] = ()
    calibrations: Sequence[Calibration]
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """What giving freed memory back to the system changed, in bytes of RSS."""

    before_bytes: int
    after_bytes: int

    @property
    def returned_bytes(self) -> int:
        return max(0, self.before_bytes - self.after_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLook:
    """The outcome of one look at both sensors.

    Args:
        outcome: ``continue`` only before the last look.
        standing: to hand to the next look.
        live: what live bytes say, and traced bytes with them.
        rss: what RSS says.
        live_growth: the rate people read.
        rss_growth: the same of RSS.
        traced_growth: the same of traced bytes, in a traced run.
        rss_floor: what RSS of a clean app creeps in an iteration.
        innocent_rss: why growth of RSS alone is no leak, or None.
        wants_trim: RSS alone is above its budget; trimming would tell whether that is freed memory.
    """

    outcome: LookOutcome
    standing: Standing
    live: SensorLook
    rss: SensorLook
    live_growth: Growth
    rss_growth: Growth
    traced_growth: Growth | None = None
    rss_floor: float = 0.0
    innocent_rss: Literal["first_touch", "fragmentation"] | None = None
    wants_trim: bool = False

    @property
    def worse(self) -> Growth:
        """The growth of the sensor that decides: the worse one that is not explained away.

        Live bytes are exact, RSS creeps: where both say the same, the creep is not added to the rate.
        """
        more = self.rss_growth.bytes_per_iteration - self.live_growth.bytes_per_iteration
        same = self.live.leaks or not self.rss.leaks
        if self.innocent_rss or more <= (self.rss_floor if same else 0.0):
            return self.live_growth
        if self.live.passes and not self.rss.leaks and self.outcome == "passed":
            return self.live_growth  # RSS passed below a floor of its own; its creep is not the app's rate
        return self.rss_growth


def look_at_memory(
    readings: Readings,
    *,
    budget: float,
    standing: Standing,
    last: bool,
    trim: Trim | None = None,
) -> MemoryLook:
    """Look at both sensors; both must pass, and either suffices for a leak.

    Args:
        readings: the columns so far.
        budget: bytes an iteration may add.
        standing: of the look before.
        last: whether this is the end of the run.
        trim: what trimming returned, once it was tried.
    """
    live, series = _look_at_live(readings, budget, last=last)
    if readings.traced_bytes:
        live = _either(live, look(readings.traced_bytes, budget, last=last))
    floor = _rss_floor(readings)
    rss_budget = max(budget, floor)
    rss = look(readings.rss_bytes, rss_budget, last=last)
    rss_growth = reported_growth(readings.rss_bytes)
    innocent = None
    if last and not rss.passes:
        innocent = _innocence(readings, rss_growth, rss_budget, trim)
    if innocent:
        rss = replace(rss, passes=live.passes, leaks=False)
    standing = standing.after(live.passes and rss.passes)
    outcome: LookOutcome = "inconclusive" if last else "continue"
    if standing.has_passed(last=last):
        outcome = "passed"
    elif last and (live.leaks or rss.leaks):
        outcome = "leak"
    return MemoryLook(
        outcome=outcome,
        standing=standing,
        live=live,
        rss=rss,
        live_growth=_told(series, budget, passed=outcome == "passed"),
        rss_growth=_told(readings.rss_bytes, rss_budget, passed=outcome == "passed" and innocent is None),
        traced_growth=reported_growth(readings.traced_bytes) if readings.traced_bytes else None,
        rss_floor=floor,
        innocent_rss=innocent,
        wants_trim=last and not rss.passes and innocent is None and not live.leaks and trim is None,
    )


def _look_at_live(readings: Readings, budget: float, *, last: bool) -> tuple[SensorLook, list[float]]:
    """Live bytes; where blocks make up most of the growth and nothing is calibrated, any block size counts."""
    series = live_series(readings.heap_bytes, readings.blocks, readings.calibrations)
    seen = look(series, budget, last=last)
    start = warm_up_end(series)
    grown = series[-1] - series[start]
    grown_blocks = readings.blocks[-1] - readings.blocks[start]
    if len(readings.calibrations) > 1 or grown_blocks * USUAL_BLOCK <= grown / 2:
        return seen, series
    small, large = (
        look(live_series(readings.heap_bytes, readings.blocks, (), size), budget, last=last)
        for size in (SMALLEST_BLOCK, LARGEST_BLOCK)
    )
    return (
        SensorLook(
            passes=seen.passes and large.passes,
            leaks=seen.leaks and small.leaks,
            suspicious=seen.suspicious,
        ),
        series,
    )


def _told(series: Sequence[float], budget: float, *, passed: bool) -> Growth:
    """The rate that people read; where a passed series stands in the middle of a tooth or step, that of what stays."""
    growth = reported_growth(series)
    return lasting_growth(series, budget) if passed and growth.bytes_per_iteration > budget else growth


def _either(one: SensorLook, other: SensorLook) -> SensorLook:
    return SensorLook(
        passes=one.passes and other.passes,
        leaks=one.leaks or other.leaks,
        suspicious=one.suspicious or other.suspicious,
    )


def _rss_floor(readings: Readings) -> float:
    """Bytes per iteration below which RSS cannot tell a leak from its own creep."""
    return (_RSS_FLOOR_BYTES + _RSS_FLOOR_BYTES_PER_REQUEST * readings.requests) / len(readings.rss_bytes)


def _innocence(
    readings: Readings, rss_growth: Growth, rss_budget: float, trim: Trim | None
) -> Literal["first_touch", "fragmentation"] | None:
    """Why RSS grew although nothing was kept: reserved pages touched at last, or freed memory not returned."""
    rate = rss_growth.bytes_per_iteration
    if readings.vms_bytes and reported_growth(readings.vms_bytes).bytes_per_iteration < rate / 2:
        return "first_touch"
    start = warm_up_end(readings.rss_bytes)
    grown = readings.rss_bytes[-1] - readings.rss_bytes[start]
    idle = _idle_arena_growth(readings, start) + (trim.returned_bytes if trim else 0)
    allowed = rss_budget * (len(readings.rss_bytes) - start)
    return "fragmentation" if idle > 0 and grown - idle <= allowed else None


def _idle_arena_growth(readings: Readings, start: int) -> int:
    """How much more Python's arenas hold than their blocks use, gained since the warm-up."""
    since = [c for c in readings.calibrations if c.at >= start] or list(readings.calibrations)
    if len(since) < 2:
        return 0
    first, final = since[0], since[-1]
    return max(0, (final.arena_bytes - final.used_bytes) - (first.arena_bytes - first.used_bytes))
