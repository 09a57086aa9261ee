"""When a series passes, leaks or stays unclear: the shapes that memory takes, fabricated."""

from __future__ import annotations

import bisect
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import BUDGET, START, filling, judged, linear, series

from pytest_memleak.judge.decision import Standing, look, looks
from pytest_memleak.judge.growth import mean_line


def stairs(times_budget: float, factor: float = 1.125, length: int = 1440):
    """A list that over-allocates: flat, then a jump, the average above the budget."""
    capacities = [3e6]
    while capacities[-1] < times_budget * BUDGET * length * 1.2:
        capacities.append(capacities[-1] * factor)
    return lambda i: capacities[bisect.bisect_left(capacities, times_budget * BUDGET * i + 3e6)]


def rare(times_budget: float, share: float, seed: int = 3, length: int = 1440):
    """A leak on a share of the iterations, as large as if it came in all."""
    chance = random.Random(seed)
    total, sums = 0.0, []
    for _ in range(length):
        total += times_budget * BUDGET / share if chance.random() < share else 0.0
        sums.append(total)
    return sums.__getitem__


def both(*shapes):
    return lambda i: sum(shape(i) for shape in shapes)


INNOCENT = {
    "flat": linear(0),
    "shrinking": linear(-0.5),
    "half the budget": linear(0.5),
    "a cache filling for a tenth of the day": filling(3, until=144),
    "a cache filling for a third of the day": filling(2, until=480),
    "a cache filling for 60 % of the day": filling(1.73, until=864),
    "a cache that starts late and is full at 60 %": filling(2, since=300, until=864),
    "a sawtooth of 20 iterations": lambda i: 1e6 * (i % 20),
    "a sawtooth of 100 iterations": lambda i: 1e6 * (i % 100),
    "one step at a third": lambda i: 50e6 * (i >= 480),
    "one step in the middle": lambda i: 50e6 * (i >= 720),
    "a lazy import after the warm-up": lambda i: 30e6 * (i >= 50),
    "two steps": lambda i: 20e6 * (i >= 200) + 15e6 * (i >= 700),
    "an exponential plateau": lambda i: 60e6 * (1 - math.exp(-i / 288)),
    "rare events that are given back": lambda i: 30e6 * (i % 97 == 0),
}
LEAKING = {
    "twice the budget": linear(2),
    "five times the budget": linear(5),
    "a list that doubles by eighths": stairs(2),
    "a leak on 5 % of the iterations": rare(2, 0.05),
    "a sawtooth on top of a leak": both(linear(2), lambda i: 1e6 * (i % 50)),
    "a full cache on top of a leak": both(linear(2), filling(1.5, until=576)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", INNOCENT)
def test_innocent_shape_never_leaks(name, seed):
    outcome, _ = judged(series(INNOCENT[name], seed=seed))

    assert outcome == "passed"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", LEAKING)
def test_leak_is_said_at_the_end_of_the_day(name, seed):
    assert judged(series(LEAKING[name], seed=seed)) == ("leak", 1440)


@pytest.mark.parametrize("length", [300, 600, 1440])
def test_two_per_cent_around_the_budget_in_quiet_noise(length):
    assert judged(series(linear(0.98), length), first=min(240, length))[0] == "passed"
    assert judged(series(linear(1.02), length), first=min(240, length)) == ("leak", length)


def test_exactly_the_budget_is_no_leak():
    assert judged(series(linear(1.0)))[0] != "leak"


def test_late_leak_needs_the_profile_full():
    values = series(lambda i: 3 * BUDGET * max(0, i - 480))

    assert judged(values, first=240) == ("passed", 300)  # the report says that it judged 5 of 24 h
    assert judged(values, first=1440) == ("leak", 1440)


def test_filling_cache_is_not_called_a_leak_before_it_is_full():
    # At every look before the end it grows at four times the budget, as a leak would.
    values = series(filling(4, until=1100))

    assert [look(values[:at], BUDGET, last=False).passes for at in (240, 375, 587, 917)] == [False] * 4
    assert judged(values)[0] != "leak"


def test_leak_on_one_iteration_in_a_hundred_is_not_hidden():
    # Too rare for a proof in one day, and never a pass.
    assert judged(series(rare(2, 0.01)))[0] in ("leak", "inconclusive")


def test_pass_takes_two_looks_in_a_row():
    assert judged(series(linear(0))) == ("passed", 300)
    # One look at the end is enough.
    assert judged(series(linear(0), 240)) == ("passed", 240)


def test_standing_counts_looks_in_a_row_only():
    one = Standing().after(True)

    assert not one.has_passed(last=False)
    assert one.has_passed(last=True)
    assert one.after(True).has_passed(last=False)
    assert not one.after(False).after(True).has_passed(last=False)
    assert not Standing().has_passed(last=True)


def test_looks_are_a_quarter_apart_and_end_with_the_run():
    assert looks(240, 1440) == [240, 300, 375, 469, 587, 734, 918, 1148, 1435, 1440]
    assert looks(1440, 1440) == [1440]
    assert looks(120, 300) == [120, 150, 188, 235, 294, 300]


@given(first=st.integers(1, 2000), more=st.integers(0, 5000))
def test_looks_rise_to_the_last(first, more):
    points = looks(first, first + more)

    assert points == sorted(set(points))
    assert points[0] == first
    assert points[-1] == first + more


def test_too_few_samples_say_nothing():
    seen = look(series(linear(5), 39), BUDGET, last=True)

    assert (seen.passes, seen.leaks) == (False, False)


@given(
    values=st.lists(st.integers(0, 2**40), min_size=0, max_size=90),
    budget=st.floats(1, 1e9),
    last=st.booleans(),
)
def test_any_series_is_judged(values, budget, last):
    seen = look(values, budget, last=last)

    assert not (seen.passes and seen.leaks)


@given(
    times_budget=st.floats(-3, 0.9),
    noise_bytes=st.floats(0, 20_000),
    seed=st.integers(0, 2**32),
    budget=st.sampled_from([50e3, BUDGET, 5e6]),
)
def test_growth_below_the_budget_is_no_leak(times_budget, noise_bytes, seed, budget):
    values = series(lambda i: times_budget * budget * i, 300, noise_bytes=noise_bytes, seed=seed)

    assert judged(values, first=120, budget=budget)[0] != "leak"


@given(
    times_budget=st.floats(1.2, 20),
    noise_bytes=st.floats(0, 20_000),
    seed=st.integers(0, 2**32),
    budget=st.sampled_from([50e3, BUDGET, 5e6]),
)
def test_growth_above_the_budget_never_passes(times_budget, noise_bytes, seed, budget):
    values = series(lambda i: times_budget * budget * i, 300, noise_bytes=noise_bytes, seed=seed)

    assert judged(values, first=120, budget=budget) == ("leak", 300)


@given(rate=st.floats(-2, 4), offset=st.integers(-40, 10_000))
def test_verdict_does_not_depend_on_the_size_of_the_process(rate, offset):
    values = series(linear(rate), 300)
    moved = [value + offset * 1e6 for value in values]

    assert look(moved, BUDGET, last=True).leaks == look(values, BUDGET, last=True).leaks
    assert look(moved, BUDGET, last=True).passes == look(values, BUDGET, last=True).passes


def test_flat_series_without_any_noise():
    assert judged([START] * 300, first=120) == ("passed", 150)


def noisy(seed, growth, budget):
    """White noise as large as what the budget allows in the whole run, and growth of a multiple of the budget."""
    chance = random.Random(seed)
    return [5e7 + chance.gauss(0, budget * DAY) + growth * budget * i for i in range(DAY)]


DAY = 1440


@pytest.mark.parametrize("seed", range(12))
def test_noise_as_large_as_the_budget_is_no_leak(seed):
    # The lowest value still to come rises towards the end of any noise: by the envelope alone one in four is a leak.
    seen = look(noisy(seed, 0, 640.0), 640.0, last=True)
    assert not seen.leaks
    assert seen.passes


@pytest.mark.parametrize("seed", range(12))
def test_a_leak_in_noise_as_large_as_the_budget_does_not_pass(seed):
    assert not look(noisy(seed, 4, 640.0), 640.0, last=True).passes


def churning(seed, budget, times_budget):
    """A window of 120 buffers of very different sizes, replaced in no order, and growth beside it."""
    chance, held, values = random.Random(seed), [], []
    for iteration in range(1440):
        for _ in range(60):
            held.append(chance.choice((700, 3_000, 9_000, 40_000, 90_000, 250_000)) + chance.randrange(4_096))
            while len(held) > 120:
                held.pop(chance.randrange(len(held)))
        values.append(START + sum(held) + times_budget * budget * iteration)
    return values


def test_churning_buffers_pass_and_hide_no_leak():
    budget, seeds = 640.0, range(20)

    clean = [judged(churning(seed, budget, 0), budget=budget)[0] for seed in seeds]
    leaking = [judged(churning(seed, budget, 2), budget=budget)[0] for seed in seeds]

    assert clean.count("passed") >= 18
    assert "leak" not in clean
    assert leaking.count("leak") >= 10
    assert "passed" not in leaking


def test_slow_noise_is_not_passed_by_its_means():
    # Deviations that last for hours: the interval of the line through the means is far too narrow.
    chance, level, slow = random.Random(1), 0.0, []
    for _ in range(DAY):
        level = 0.995 * level + chance.gauss(0, 640.0 * DAY * 0.1)
        slow.append(5e7 + level)
    assert mean_line(slow).memory > 0.4
