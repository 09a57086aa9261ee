"""The estimators on series whose growth is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import BUDGET, filling, linear, series

from pytest_memleak.judge.growth import (
    deviation,
    envelope,
    fit,
    full_teeth,
    median,
    reported_growth,
    retained_jumps,
    t99,
    warm_up_end,
)


def test_quantile_is_rounded_to_the_safe_side():
    assert t99(1) == 63.66
    assert t99(7) == t99(6)
    assert t99(1000) == t99(60)
    assert [t99(n) for n in range(1, 100)] == sorted((t99(n) for n in range(1, 100)), reverse=True)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1))
def test_median_is_between_the_ends(values):
    assert min(values) <= median(values) <= max(values)


def test_median_and_deviation_of_little():
    assert median([]) == 0.0
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5
    assert deviation([]) == 0.0


def test_deviation_is_not_moved_by_a_jump():
    changes = [float(i % 11) for i in range(110)]

    assert deviation([*changes, 1e9]) == pytest.approx(deviation(changes))


def test_warm_up_is_cut():
    values = series(filling(30, until=60), 300)

    assert 55 <= warm_up_end(values) <= 90


def test_no_warm_up_in_a_straight_line():
    assert warm_up_end([1000.0 * i for i in range(300)]) == 0


@given(st.lists(st.integers(0, 10**10), max_size=400))
def test_warm_up_is_at_most_three_tenths(values):
    assert 0 <= warm_up_end(values) <= 0.3 * len(values) + 5


def test_half_grown_tooth_is_cut():
    saw = [1e6 * (i % 100) for i in range(350)]

    assert full_teeth(saw, 1e6) == 301


def test_a_fall_long_ago_cuts_nothing():
    once = [1e6 * i if i < 50 else 0.0 for i in range(350)]

    assert full_teeth(once, 1e6) == 350


@given(st.lists(st.floats(0, 1e12), min_size=1))
def test_envelope_is_the_lowest_to_come(values):
    retained = envelope(values)

    assert retained == [min(values[i:]) for i in range(len(values))]
    assert retained == sorted(retained)


def test_jumps_that_stay_are_found():
    values = series(lambda i: 20e6 * (i >= 100) + 10e6 * (i >= 200), 300)

    found = retained_jumps(values, envelope(values), 1e6)

    assert found == [pytest.approx(20e6, rel=0.01), pytest.approx(10e6, rel=0.01)]


def test_a_slope_is_no_row_of_jumps():
    values = series(linear(5), 300)

    assert retained_jumps(values, envelope(values), 1e6) == []


@given(rate=st.floats(-1e7, 1e7), start=st.floats(0, 1e10), length=st.integers(60, 400))
def test_fit_of_a_straight_line_is_its_slope(rate, start, length):
    # The minima of a falling line lie at the blocks' ends, those of a rising one at their starts.
    slope = fit([start + rate * i for i in range(length)]).plain

    assert slope.rate == pytest.approx(rate, rel=1e-6, abs=1e-3)
    assert slope.low < slope.rate < slope.high


def test_a_step_does_not_count_as_slope():
    found = fit(series(lambda i: 50e6 * (i >= 150), 300))

    assert found.step_bytes == pytest.approx(50e6, rel=0.05)
    assert found.stepped.high < BUDGET
    assert found.plain.rate > BUDGET / 2


def test_interval_of_a_flat_series_is_not_empty():
    slope = fit([60e6] * 300).plain

    assert slope.low < 0 < slope.high


@given(rate=st.floats(-1e6, 1e6), seed=st.integers(0, 1000))
def test_reported_rate_is_unbiased(rate, seed):
    growth = reported_growth(series(lambda i: rate * i, 600, seed=seed))

    assert growth.bytes_per_iteration == pytest.approx(rate, abs=300)
    assert growth.low_bytes_per_iteration < growth.bytes_per_iteration < growth.high_bytes_per_iteration


def test_reported_rate_is_that_of_the_last_half():
    growth = reported_growth(series(filling(10, until=700)))

    assert growth.bytes_per_iteration == pytest.approx(0, abs=300)


@pytest.mark.parametrize("length", range(8))
def test_rate_of_next_to_nothing_is_nothing(length):
    growth = reported_growth([1e6 * i for i in range(length)])

    assert growth.bytes_per_iteration in (0.0, pytest.approx(1e6))
