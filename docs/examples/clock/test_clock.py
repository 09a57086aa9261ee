"""The clock of a check, read and moved by the test."""

import time

import pytest

started: dict[str, float] = {}


@pytest.mark.memleak(duration="24h", step="15min", profile="full")
async def test_a_day_in_quarters(memleak):
    if memleak.iteration == 0:
        started.update(wall=time.time(), monotonic=time.monotonic())
    assert memleak.clock.now == memleak.iteration * 900
    assert time.time() - started["wall"] == pytest.approx(memleak.clock.now, abs=1)
    assert time.monotonic() - started["monotonic"] == pytest.approx(memleak.clock.now, abs=1)


@pytest.mark.memleak(duration="1h")
async def test_a_break_within_an_iteration(memleak):
    before = memleak.clock.now
    await memleak.clock.advance(30)
    assert memleak.clock.now - before in (30, 0)  # 0 without --memcheck, where time is real
