"""Estimators of growth on one series of bytes, one value per iteration. Pure.

The shapes that fool a plain regression (caches filling, sawteeth, steps, staircases) are taken out
before the slope is fitted; each function says which one it is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from pytest_memleak.model import Growth

_T99 = {
    1: 63.66, 2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032, 6: 3.707, 8: 3.355, 10: 3.169, 15: 2.947,
    20: 2.845, 30: 2.750, 60: 2.660,
}  # fmt: skip
"""Two-sided 99 % quantiles of Student's t by degrees of freedom; between two the wider one is used."""

_NOISE_FLOOR_BYTES = 2_000.0
"""What the sensors themselves waver by, so that a perfectly flat series has no zero-width interval."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A slope in bytes per iteration with its 99 % interval."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A straight line through block minima, and the same with one step allowed when one explains the misfit."""

    plain: Slope
    stepped: Slope
    step_bytes: float


def t99(freedom: int) -> float:
    """The 99 % quantile of Student's t for `freedom` degrees of freedom, rounded to the safe side."""
    return _T99[max((known for known in _T99 if known <= freedom), default=1)]


def median(values: Sequence[float]) -> float:
    """The median, 0.0 of nothing."""
    if not values:
        return 0.0
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def differences(series: Sequence[float]) -> list[float]:
    """The change from each value to the next."""
    return [later - earlier for earlier, later in pairwise(series)]


def deviation(changes: Sequence[float]) -> float:
    """The standard deviation as the median absolute deviation estimates it; a few jumps do not move it."""
    centre = median(changes)
    return median([abs(change - centre) for change in changes]) / 0.6745


def warm_up_end(series: Sequence[float], at_most: float = 0.3) -> int:
    """Where the warm-up ends: MSER-5 on the series without its trend.

    Source: White, "An effective truncation heuristic for bias reduction in simulation output" (1997),
    on means of five, each candidate judged by the residual of the line through the rest.
    """
    blocks = len(series) // 5
    if blocks < 8:
        return 0
    offset = len(series) - 5 * blocks
    means = [sum(series[offset + 5 * i : offset + 5 * i + 5]) / 5 for i in range(blocks)]
    scores: dict[int, float] = {}
    st = sz = stt = stz = szz = 0.0
    for i in range(blocks - 1, -1, -1):  # sums over the rest of the series, so that all candidates cost O(n)
        z = means[i] - means[-1]
        n = blocks - i
        st, sz, stt, stz, szz = st + i, sz + z, stt + i * i, stz + i * z, szz + z * z
        if i <= int(blocks * at_most):
            sxx, sxy = stt - st * st / n, stz - st * sz / n
            scores[i] = max(0.0, (szz - sz * sz / n) - sxy * sxy / sxx) / (n * n)
    best = 0
    for i in sorted(scores):  # a later start must be clearly better, not luckily
        if scores[i] < scores[best] * 0.999:
            best = i
    return offset + 5 * best


def full_teeth(series: Sequence[float], least_fall_bytes: float) -> int:
    """The length of the series without the half-grown sawtooth tooth at its end.

    A tooth is cut only when the falls come often enough that the next one is still to be expected.
    """
    changes = differences(series)
    threshold = max(least_fall_bytes, 8 * deviation(changes))
    falls = [i for i, change in enumerate(changes) if change < -threshold]
    if not falls:
        return len(series)
    widest = max(later - earlier for earlier, later in pairwise([0, *falls]))
    still_due = len(series) - falls[-1] <= 1.5 * widest + 5
    return falls[-1] + 2 if still_due else len(series)


def envelope(series: Sequence[float]) -> list[float]:
    """The lowest value still to come: what is retained, without bursts and teeth."""
    return list(accumulate(reversed(series), min))[::-1]


def retained_jumps(series: Sequence[float], retained: Sequence[float], least_bytes: float) -> list[float]:
    """The heights of single steps that stay, for staircases whose next stair is yet to come."""
    threshold = max(least_bytes, 8 * deviation(differences(series)))
    rises = differences(retained)
    usual = median(rises)
    jumps = []
    for i, rise in enumerate(rises):
        around = median(rises[max(0, i - 6) : i] + rises[i + 1 : i + 7])
        if rise - usual > threshold and rise > 5 * max(around, 1e-3):
            jumps.append(rise)
    return jumps


def fit(series: Sequence[float], blocks: int = 24) -> Fit:
    """Ordinary least squares on the minima of `blocks` blocks, with and without one step."""
    size = max(1, len(series) // blocks)
    count = len(series) // size
    offset = len(series) - count * size
    minima = [min(series[offset + i * size : offset + (i + 1) * size]) for i in range(count)]
    t = [i - (count - 1) / 2 for i in range(count)]
    sxx = sum(x * x for x in t)
    mean = sum(minima) / count
    slope = sum(x * y for x, y in zip(t, minima, strict=True)) / sxx
    residuals = [y - mean - slope * x for x, y in zip(t, minima, strict=True)]
    misfit = sum(r * r for r in residuals)
    floor = _NOISE_FLOOR_BYTES / sxx**0.5
    error = t99(count - 2) * ((misfit / (count - 2) / sxx) ** 0.5 + floor)
    plain = Slope(slope / size, (slope - error) / size, (slope + error) / size)
    step = _best_step(t, residuals, sxx)
    if step is None or step.explained <= 0.9 * misfit:
        return Fit(plain, plain, 0.0)
    noise = median([abs(change - slope) for change in differences(minima)]) / 0.95 + _NOISE_FLOOR_BYTES
    if abs(step.height) <= 6 * noise:
        return Fit(plain, plain, 0.0)
    after = count - step.at
    inflation = min((after - count * (after / count) ** 2) / step.weight, 20.0)
    slope -= step.height * sum(t[step.at :]) / sxx
    rest = max(0.0, misfit - step.explained)
    error = t99(count - 3) * ((rest / (count - 3) * inflation / sxx) ** 0.5 + floor)
    return Fit(plain, Slope(slope / size, (slope - error) / size, (slope + error) / size), step.height)


@dataclass(frozen=True, slots=True)
class _Step:
    at: int
    height: float
    weight: float
    explained: float


def _best_step(t: Sequence[float], residuals: Sequence[float], sxx: float) -> _Step | None:
    """The one step regressor that explains most of the residual (Frisch-Waugh-Lovell)."""
    count = len(t)
    best: _Step | None = None
    for at in range(2, count - 1):
        after = count - at
        along = sum(t[at:]) / sxx
        weight = after - count * (after / count) ** 2 - along * along * sxx
        reach = sum(residuals[at:])
        if weight > 1e-9 and (best is None or reach * reach / weight > best.explained):
            best = _Step(at, reach / weight, weight, reach * reach / weight)
    return best


@dataclass(frozen=True, slots=True)
class MeanLine:
    """A straight line through block means.

    Args:
        slope: of the line.
        wander: the standard deviation of the values around it, in bytes.
        memory: the correlation of each block's deviation with the next one's; far from 0 the interval is too narrow.
    """

    slope: Slope
    wander: float
    memory: float


def mean_line(series: Sequence[float], blocks: int = 24) -> MeanLine | None:
    """Ordinary least squares on the means of `blocks` blocks; None for fewer than four values.

    Unbiased where the envelope is careful: the lowest value still to come rises towards the end of any noise.
    """
    size = max(1, len(series) // blocks)
    count = len(series) // size
    if count < 4:
        return None
    offset = len(series) - count * size
    means = [sum(series[offset + i * size : offset + (i + 1) * size]) / size for i in range(count)]
    t = [i - (count - 1) / 2 for i in range(count)]
    sxx = sum(x * x for x in t)
    mean = sum(means) / count
    slope = sum(x * y for x, y in zip(t, means, strict=True)) / sxx
    residuals = [y - mean - slope * x for x, y in zip(t, means, strict=True)]
    misfit = sum(r * r for r in residuals)
    error = t99(count - 2) * ((misfit / (count - 2) / sxx) ** 0.5 + _NOISE_FLOOR_BYTES / sxx**0.5)
    line = [mean + slope * ((i + 0.5) / size - count / 2) for i in range(count * size)]
    wander = (sum((y - x) ** 2 for x, y in zip(line, series[offset:], strict=True)) / len(line)) ** 0.5
    memory = sum(a * b for a, b in pairwise(residuals)) / misfit if misfit else 0.0
    return MeanLine(Slope(slope / size, (slope - error) / size, (slope + error) / size), wander, memory)


def reported_growth(series: Sequence[float]) -> Growth:
    """The rate people read: the line through the block means of the last half."""
    line = mean_line(series[len(series) // 2 :])
    slope = line.slope if line else Slope(0.0, 0.0, 0.0)
    return Growth(
        bytes_per_iteration=slope.rate,
        low_bytes_per_iteration=slope.low,
        high_bytes_per_iteration=slope.high,
    )
