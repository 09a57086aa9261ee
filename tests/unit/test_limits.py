"""Severity, forecast and the memory guard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memleak.judge.limits import MemoryGuard, forecast, severity

GIB = 2**30


@pytest.mark.parametrize(
    ("mb_per_hour", "word"),
    [
        (-5, "normal"),
        (0, "normal"),
        (9.99, "normal"),
        (10, "warning"),
        (49.9, "warning"),
        (50, "high"),
        (99.9, "high"),
        (100, "critical"),
        (1e6, "critical"),
    ],
)
def test_severity(mb_per_hour, word):
    assert severity(mb_per_hour * 24) == word


def test_forecast():
    found = forecast(500_000_000, 2400, 2_000_000_000)

    assert found == {
        "memory_limit_bytes": 2_000_000_000,
        "rss_bytes_after_hours": {"6": 1_100_000_000, "12": 1_700_000_000, "24": 2_900_000_000, "48": 5_300_000_000},
        "hours_until_80_percent": 11.0,
        "hours_until_100_percent": 15.0,
    }


@pytest.mark.parametrize("rate", [0, -100])
def test_forecast_without_growth_has_no_end(rate):
    found = forecast(500_000_000, rate, 2 * GIB)

    assert set(found["rss_bytes_after_hours"].values()) == {500_000_000}
    assert found["hours_until_80_percent"] is None
    assert found["hours_until_100_percent"] is None


def test_forecast_of_what_is_full_already():
    found = forecast(1.9e9, 0, 2_000_000_000)

    assert found["hours_until_80_percent"] == 0.0
    assert found["hours_until_100_percent"] is None


def guard(**changed) -> MemoryGuard:
    return MemoryGuard(
        **{
            "start_bytes": 100_000_000,
            "run_budget_bytes": 500_000_000,
            "available_bytes": 8_000_000_000,
            "max_memory_bytes": None,
            **changed,
        }
    )


def test_guard_stops_at_a_quarter_of_what_is_available():
    assert guard().stop_bytes == 2_100_000_000


def test_guard_stops_at_twice_the_budget_when_that_is_more():
    assert guard(run_budget_bytes=1_500_000_000).stop_bytes == 3_100_000_000


def test_huge_budget_does_not_license_exhausting_the_machine():
    assert guard(run_budget_bytes=1e15).stop_bytes < 8_100_000_000


def test_max_memory_comes_first():
    assert guard(max_memory_bytes=300_000_000).stop_bytes == 300_000_000
    assert guard(max_memory_bytes=10**12).stop_bytes == 2_100_000_000


def test_growth_beyond_the_whole_runs_budget_is_a_proof():
    assert guard().proves_leak(600_000_001)
    assert not guard().proves_leak(600_000_000)


@given(
    start=st.integers(0, 10**12),
    budget=st.floats(0, 1e15),
    available=st.integers(0, 10**12),
)
def test_guard_never_stops_before_memory_grew(start, budget, available):
    stop = guard(start_bytes=start, run_budget_bytes=budget, available_bytes=available).stop_bytes

    assert start <= stop <= start + available
