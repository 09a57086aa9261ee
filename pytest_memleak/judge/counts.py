"""Whether a count of open things keeps rising to the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from statistics import median

MIN_ITERATIONS = 12
# The smallest rise that counts: pools and executors waver by a few.
MIN_RISE = 4
# Default sizes: 32 threads of an executor, 40 of anyio, 100 connections of httpx and aiohttp.
_LARGEST_POOL = 100
# A run goes on while its iterations take less than that, or less than so many times what the first ones took.
_SLOW_S, _SLOWER = 0.5, 10
_FEWEST, _SPAN = 60, 10


def may_level_off(all_counts: Iterable[Sequence[int]], warm_up: int) -> bool:
    """Whether one of the counts rises, but no further yet than a pool does that grows to its size.

    Args:
        all_counts: per kind, one count per iteration.
        warm_up: iterations at the start that are not judged; at least a tenth never is.
    """
    return any(by <= _LARGEST_POOL for by in _rises(all_counts, warm_up))


def slowed_down_by(seconds: Sequence[float], all_counts: Iterable[Sequence[int]], warm_up: int) -> float | None:
    """How many times slower the iterations have become, where more piles up than a pool that grows to its size.

    A thousand tasks that poll make a day of iterations take hours; the number that rises is known long before.

    Args:
        seconds: real time of each iteration.
        all_counts: per kind, one count per iteration.
        warm_up: iterations at the start that are not judged; at least a tenth never is.

    Returns:
        The factor, None while the run may go on.
    """
    if len(seconds) < max(_FEWEST, warm_up + 2 * _SPAN):
        return None
    early, late = median(seconds[warm_up : warm_up + _SPAN]), median(seconds[-_SPAN:])
    if late < max(_SLOW_S, _SLOWER * early):
        return None
    piles_up = any(by > _LARGEST_POOL for by in _rises(all_counts, warm_up))
    return late / early if piles_up else None


def _rises(all_counts: Iterable[Sequence[int]], warm_up: int) -> Iterator[int]:
    """By how much each of the counts rises that keep rising."""
    for counts in all_counts:
        judged = counts[max(warm_up, len(counts) // 10) :]
        if rise_per_iteration(judged) is not None:
            yield judged[-1] - judged[0]


def rise_per_iteration(counts: Sequence[int]) -> float | None:
    """The rate at which a count keeps rising, per entry; None for one that does not.

    The rule looks at the level that is never undercut again, the minimum of everything from a
    point to the end. The count keeps rising when that level

    - rises in the middle third and in the last, there at least half as much: a plateau stays;
    - rises by at least `MIN_RISE`, on at least `MIN_RISE` occasions: new highs of a pool get rare;
    - rises by more than three times the usual change from one entry to the next: noise does not
      add up.

    A sawtooth comes back down; one more every few iterations fulfils all three.
    """
    size = len(counts)
    if size < MIN_ITERATIONS:
        return None
    last = size - size // 6  # near the end there is too little left to undercut a level
    levels = list(accumulate(reversed(counts), min))[::-1][: last + 1]
    start, one, two, end = levels[0], levels[last // 3], levels[2 * last // 3], levels[last]
    middle_rise, last_rise = two - one, end - two
    if min(middle_rise, last_rise) < 1 or 2 * last_rise < middle_rise:
        return None
    if min(end - start, len(set(levels)) - 1) < MIN_RISE:
        return None
    changes = [after - before for before, after in pairwise(counts)]
    usual = median(changes)
    if end - start <= 3 * median(abs(change - usual) for change in changes):
        return None
    return (end - start) / last
