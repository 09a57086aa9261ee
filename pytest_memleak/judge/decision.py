"""When to stop, and what it is: passed, leak or inconclusive. Pure.

PASS may come early, because a flat series cannot hide growth above the budget; LEAK is only said at the
end of the simulated day, because a filling cache looks like a leak until it is full.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_memleak.judge.growth import (
    envelope,
    fit,
    full_teeth,
    mean_line,
    retained_jumps,
    warm_up_end,
)
from pytest_memleak.model import Growth

_FEWEST_USABLE = 40
_LOOKS_TO_PASS = 2
_NOISY = 0.25
"""Noise is large when its standard deviation is this share of what the budget allows in the run."""
_MOST_MEMORY = 0.4
"""Deviations of neighbouring blocks that go together more than this make the line's interval too narrow."""
_JUMP_BYTES = (50_000.0, 1_000_000.0)
"""The least and the most that a single step must measure to count as a jump; between them three budgets."""


@dataclass(frozen=True, slots=True)
class SensorLook:
    """What one look says about one sensor's series.

    Args:
        passes: growth above the budget is excluded.
        leaks: growth above the budget is proven, if this is the last look.
        suspicious: the last third alone is above the budget.
    """

    passes: bool
    leaks: bool
    suspicious: bool


def looks(first: int, last: int, factor: float = 1.25) -> list[int]:
    """The iterations at which the growth is looked at: `first`, then `factor` apart, then `last`."""
    points = []
    at = first
    while at < last:
        points.append(at)
        at = math.ceil(at * factor)
    return [*points, last]


def look(series: Sequence[float], budget: float, *, last: bool) -> SensorLook:
    """Look at one sensor's series.

    Args:
        series: bytes, one value per iteration, the first sample already left out.
        budget: bytes an iteration may add.
        last: whether this is the end of the run, where one jump more is forgiven.
    """
    jump_bytes = min(max(3 * budget, _JUMP_BYTES[0]), _JUMP_BYTES[1])
    steady = series[warm_up_end(series) :]
    steady = steady[: full_teeth(steady, jump_bytes)]
    if len(steady) < _FEWEST_USABLE:
        return SensorLook(passes=False, leaks=False, suspicious=False)
    retained = envelope(steady)
    jumps = retained_jumps(steady, retained, jump_bytes)
    n = len(retained)
    full, two_thirds = fit(retained), fit(retained[n // 3 :])
    middle, end = fit(retained[n // 3 : 2 * n // 3], 16).stepped, fit(retained[-(n // 3) :], 16)
    total = full.plain.high
    few_jumps = (
        len(jumps) <= 1
        or (last and total < budget)
        or (len(jumps) <= 3 and total < budget and 2.5 * sum(jumps) / len(series) < budget)
    )
    smooth = not (full.step_bytes or two_thirds.step_bytes or end.step_bytes)
    passes = (
        few_jumps
        and end.stepped.high < budget
        and (two_thirds.stepped.high < budget or full.stepped.high < budget)
        and (last or total < budget or smooth)
    )
    still_growing = end.stepped.rate > 0.5 * middle.rate
    above = (two_thirds.plain.low > budget and two_thirds.stepped.rate > budget and end.stepped.rate > budget) or (
        end.stepped.low > budget and two_thirds.stepped.low > budget
    )
    leaks = still_growing and above
    if by_means := _look_at_means(steady, budget):
        leaks = leaks and by_means.leaks
        if by_means.is_noise:
            # Before the end of the day they only keep a run going: a late leak looks like noise.
            passes = by_means.passes and (last or passes)
    return SensorLook(passes=passes, leaks=leaks, suspicious=end.stepped.low > budget)


def lasting_growth(series: Sequence[float], budget: float) -> Growth:
    """The rate of what is retained, without the one step or the teeth that the decision takes out.

    For a series that passed: the line through its last half may be a tooth half grown, or a step.
    """
    jump_bytes = min(max(3 * budget, _JUMP_BYTES[0]), _JUMP_BYTES[1])
    steady = series[warm_up_end(series) :]
    retained = envelope(steady[: full_teeth(steady, jump_bytes)])
    slope = min((fit(retained[at:]).stepped for at in (0, len(retained) // 3)), key=lambda slope: slope.high)
    return Growth(
        bytes_per_iteration=slope.rate, low_bytes_per_iteration=slope.low, high_bytes_per_iteration=slope.high
    )


@dataclass(frozen=True, slots=True)
class _MeansLook:
    """What block means say where the envelope is no help; teeth and stairs are no noise, and left to it."""

    passes: bool
    leaks: bool
    is_noise: bool


def _look_at_means(steady: Sequence[float], budget: float) -> _MeansLook | None:
    """A look where what varies is as large as what the budget allows in the whole run; None where it is not.

    There the envelope's rise towards the end is as large as the budget, and hides a leak as well as it makes one.
    """
    n = len(steady)
    whole, two_thirds, end = mean_line(steady), mean_line(steady[n // 3 :]), mean_line(steady[-(n // 3) :], 16)
    if not (whole and two_thirds and end) or whole.wander < _NOISY * budget * n:
        return None
    return _MeansLook(
        passes=whole.slope.high < budget
        and two_thirds.slope.rate < budget
        # So few values in so much noise often rise by chance: they must show that they do.
        and end.slope.low < budget,
        leaks=whole.slope.low > budget,
        is_noise=whole.memory < _MOST_MEMORY,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How many looks in a row have passed; the one thing that a look hands to the next."""

    passes_in_a_row: int = 0

    def after(self, passes: bool) -> Standing:
        """The standing after one more look."""
        return Standing(self.passes_in_a_row + 1 if passes else 0)

    def has_passed(self, *, last: bool) -> bool:
        """Two looks in a row pass; at the last look one suffices."""
        return self.passes_in_a_row >= (1 if last else _LOOKS_TO_PASS)
