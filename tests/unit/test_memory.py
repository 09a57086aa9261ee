"""Both sensors together: either finds a leak, both must pass, and RSS alone is usually innocent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import BUDGET, filling, linear, series

from pytest_memleak.judge.decision import Standing
from pytest_memleak.judge.growth import reported_growth
from pytest_memleak.judge.live import Calibration
from pytest_memleak.judge.memory import MemoryLook, Readings, Trim, look_at_memory

LENGTH = 600
FLAT = linear(0)
LEAK = linear(3)


def column(shape, length: int = LENGTH, noise_bytes: float = 5_000) -> list[int]:
    return [round(value) for value in series(shape, length, noise_bytes=noise_bytes)]


def readings(*, rss=FLAT, vms=FLAT, heap=FLAT, blocks=(100_000,) * LENGTH, calibrations=(), requests=0) -> Readings:
    return Readings(
        rss_bytes=column(rss, noise_bytes=30_000),
        vms_bytes=column(vms, noise_bytes=0),
        heap_bytes=column(heap),
        blocks=blocks,
        calibrations=calibrations,
        requests=requests,
    )


def at_the_end(seen: Readings, *, budget: float = BUDGET, trim: Trim | None = None) -> MemoryLook:
    return look_at_memory(seen, budget=budget, standing=Standing(), last=True, trim=trim)


def test_quiet_sensors_pass():
    look = at_the_end(readings())

    assert look.outcome == "passed"
    assert not look.wants_trim
    assert look.innocent_rss is None


def test_live_bytes_alone_are_a_leak():
    # What the app keeps was in memory that the process had long since touched.
    look = at_the_end(readings(heap=LEAK))

    assert look.outcome == "leak"
    assert look.worse == look.live_growth
    assert look.worse.bytes_per_iteration == pytest.approx(3 * BUDGET, rel=0.01)


def test_where_both_grow_alike_the_creep_of_rss_is_no_part_of_the_rate():
    creep = 400_000 / LENGTH / 2
    seen = readings(heap=LEAK, rss=lambda i: LEAK(i) + creep * i, vms=LEAK)

    look = at_the_end(seen)

    assert look.outcome == "leak"
    assert look.worse == look.live_growth
    more = readings(heap=LEAK, rss=linear(5), vms=linear(5))
    assert at_the_end(more).worse.bytes_per_iteration == pytest.approx(5 * BUDGET, rel=0.01)


def test_growing_memory_maps_are_a_leak_that_only_rss_sees():
    seen = readings(rss=LEAK, vms=LEAK)
    first = at_the_end(seen)
    assert first.wants_trim

    look = at_the_end(seen, trim=Trim(before_bytes=900_000_000, after_bytes=900_000_000))

    assert look.outcome == "leak"
    assert not look.wants_trim
    assert look.worse == look.rss_growth


def test_first_touch_of_reserved_memory_is_no_leak():
    look = at_the_end(readings(rss=LEAK, vms=FLAT))

    assert (look.outcome, look.innocent_rss) == ("passed", "first_touch")
    assert look.worse == look.live_growth


def test_memory_that_trimming_returns_is_fragmentation():
    seen = readings(rss=LEAK, vms=LEAK)
    grown = round(3 * BUDGET * LENGTH)

    look = at_the_end(seen, trim=Trim(before_bytes=60_000_000 + grown, after_bytes=60_000_000))

    assert (look.outcome, look.innocent_rss) == ("passed", "fragmentation")
    assert look.worse == look.live_growth


def test_trimming_that_returns_a_little_excuses_nothing():
    look = at_the_end(readings(rss=LEAK, vms=LEAK), trim=Trim(before_bytes=600_000_000, after_bytes=590_000_000))

    assert (look.outcome, look.innocent_rss) == ("leak", None)


def test_idle_arenas_are_fragmentation():
    grown = round(3 * BUDGET * LENGTH)
    calibrations = tuple(
        Calibration(
            at=at,
            blocks=100_000,
            used_bytes=9_600_000,
            arena_bytes=10_000_000 + grown * at // LENGTH,
        )
        for at in (9, 239, LENGTH - 1)
    )

    look = at_the_end(readings(rss=LEAK, vms=LEAK, calibrations=calibrations))

    assert (look.outcome, look.innocent_rss) == ("passed", "fragmentation")
    assert not look.wants_trim


def test_fragmentation_does_not_excuse_a_leak_of_live_bytes():
    grown = round(3 * BUDGET * LENGTH)
    trim = Trim(before_bytes=60_000_000 + grown, after_bytes=60_000_000)

    look = at_the_end(readings(rss=LEAK, vms=LEAK, heap=LEAK), trim=trim)

    assert look.outcome == "leak"


def test_innocence_is_a_matter_of_the_end_only():
    seen = readings(rss=LEAK, vms=FLAT)

    look = look_at_memory(seen, budget=BUDGET, standing=Standing(1), last=False)

    assert look.outcome == "continue"
    assert look.standing == Standing()


def test_two_passing_looks_end_the_run_early():
    first = look_at_memory(readings(), budget=BUDGET, standing=Standing(), last=False)
    second = look_at_memory(readings(), budget=BUDGET, standing=first.standing, last=False)

    assert (first.outcome, second.outcome) == ("continue", "passed")


@pytest.mark.parametrize("sensor", ["rss", "heap"])
def test_leak_is_not_said_before_the_end(sensor):
    look = look_at_memory(readings(vms=LEAK, **{sensor: LEAK}), budget=BUDGET, standing=Standing(), last=False)

    assert look.outcome == "continue"


def test_creep_of_rss_under_a_tight_budget_is_below_its_floor():
    # A clean app: RSS creeps 80 bytes a request while live bytes are flat, and the budget is tighter than that.
    creeping = readings(rss=lambda i: 800 * i, vms=lambda i: 800 * i, requests=10 * LENGTH)

    look = at_the_end(creeping, budget=640)

    assert look.outcome != "leak"


def test_tight_budget_is_kept_by_live_bytes():
    seen = Readings(
        rss_bytes=[60_000_000] * LENGTH,
        vms_bytes=[60_000_000] * LENGTH,
        heap_bytes=[10_000_000 + 1_300 * i for i in range(LENGTH)],
        blocks=[100_000] * LENGTH,
        calibrations=(),
        requests=10 * LENGTH,
    )

    assert at_the_end(seen, budget=640).outcome == "leak"


def growing_blocks(each_bytes: int | None) -> Readings:
    """20 blocks more an iteration; `each_bytes` each if that is known from a calibration."""
    blocks = tuple(100_000 + 20 * i for i in range(LENGTH))
    calibrations = () if each_bytes is None else tuple(
        Calibration(
            at=at,
            blocks=blocks[at],
            used_bytes=each_bytes * blocks[at],
            arena_bytes=each_bytes * blocks[at],
        )
        for at in (9, 239, LENGTH - 1)
    )  # fmt: skip
    return Readings(
        rss_bytes=[60_000_000] * LENGTH,
        vms_bytes=[60_000_000] * LENGTH,
        heap_bytes=[10_000_000] * LENGTH,
        blocks=blocks,
        calibrations=calibrations,
        requests=0,
    )


@pytest.mark.parametrize(
    ("budget", "uncalibrated", "by_block"),
    [
        # 20 blocks are 320 to 10,240 bytes, as guessed 1,920
        (250, "leak", {16: "leak", 96: "leak", 512: "leak"}),
        (1_000, "inconclusive", {16: "passed", 96: "leak", 512: "leak"}),
        (4_000, "inconclusive", {16: "passed", 96: "passed", 512: "leak"}),
        (20_000, "passed", {16: "passed", 96: "passed", 512: "passed"}),
    ],
)
def test_unknown_block_size_is_said_and_a_calibration_narrows_it(budget, uncalibrated, by_block):
    assert at_the_end(growing_blocks(None), budget=budget).outcome == uncalibrated
    assert {size: at_the_end(growing_blocks(size), budget=budget).outcome for size in by_block} == by_block


def test_missing_heap_and_maps_are_no_obstacle():
    seen = Readings(
        rss_bytes=column(LEAK), vms_bytes=(), heap_bytes=(), blocks=[0] * LENGTH, calibrations=(), requests=0
    )

    assert at_the_end(seen).outcome == "leak"


def test_cache_that_both_sensors_see_filling():
    cache = filling(2, until=360)

    assert at_the_end(readings(rss=cache, vms=cache, heap=cache)).outcome == "passed"


@given(
    rss=st.floats(-2, 5),
    vms=st.floats(-2, 5),
    heap=st.floats(-2, 0.9),
    returned_bytes=st.integers(-(10**9), 10**10),
)
def test_leak_without_live_growth_needs_growing_maps(rss, vms, heap, returned_bytes):
    trim = Trim(before_bytes=10**10, after_bytes=10**10 - returned_bytes)

    look = at_the_end(readings(rss=linear(rss), vms=linear(vms), heap=linear(heap)), trim=trim)

    if look.outcome == "leak":
        assert rss > 0.95
        assert vms > rss * 0.45


def test_trim_that_grows_returned_nothing():
    assert Trim(before_bytes=5, after_bytes=9).returned_bytes == 0


@pytest.mark.parametrize(
    "shape",
    [
        lambda i: 120e6 if i > LENGTH * 0.7 else 0.0,  # one step, in the half whose line is told
        lambda i: 4 * BUDGET * ((i + 150) % 250),  # teeth, the last one half grown
    ],
    ids=["step", "sawtooth"],
)
def test_what_passes_is_not_told_to_grow_above_the_budget(shape):
    look = at_the_end(readings(heap=shape))

    assert look.outcome == "passed"
    assert reported_growth(column(shape)).bytes_per_iteration > BUDGET
    assert look.worse.bytes_per_iteration < BUDGET
