"""Live bytes from heap and blocks: exact at the calibrations, smooth between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memleak.judge.growth import reported_growth
from pytest_memleak.judge.live import Calibration, calibration_points, live_series


def calibration(at: int, blocks: int, used_bytes: int) -> Calibration:
    return Calibration(at=at, blocks=blocks, used_bytes=used_bytes, arena_bytes=used_bytes)


def test_without_calibration_a_block_counts_96_bytes():
    assert live_series([1000, 1000, 2000], [0, 10, 10]) == [1000, 1960, 2960]


def test_without_a_readable_heap_blocks_are_all():
    assert live_series((), [0, 10]) == [0, 960]


def test_one_calibration_tells_no_rate():
    assert live_series([0, 0], [0, 10], [calibration(1, 10, 5000)]) == [0, 960]


@pytest.mark.parametrize("block_bytes", [16, 48, 96, 480, 512])
def test_blocks_count_what_they_really_hold(block_bytes):
    blocks = [1000 + 5 * i for i in range(300)]
    calibrations = [calibration(at, blocks[at], block_bytes * blocks[at]) for at in (9, 119, 299)]

    live = live_series([0] * 300, blocks, calibrations)

    assert reported_growth(live).bytes_per_iteration == pytest.approx(5 * block_bytes)


def test_small_objects_replaced_by_large_ones_are_growth_without_more_blocks():
    live = live_series([0] * 100, [1000] * 100, [calibration(0, 1000, 16_000), calibration(99, 1000, 512_000)])

    assert live[0] == 16_000
    assert live[99] == 512_000
    assert live == sorted(live)


def test_first_use_blocks_of_another_size_do_not_bend_the_rate():
    """20 blocks of 448 bytes an iteration, and 50-byte ones that come ever more seldom, as FastAPI's do."""
    blocks, used = [0], [0]
    for i in range(1, 120):
        first_use = 250 // i
        blocks.append(blocks[-1] + 20 + first_use)
        used.append(used[-1] + 20 * 448 + first_use * 50)
    points = [at - 1 for at in (*calibration_points(10, 120), 120)]

    live = live_series([0] * 120, blocks, [calibration(at, blocks[at], used[at]) for at in points])

    assert reported_growth(live).bytes_per_iteration == pytest.approx(20 * 448, rel=0.02)
    ends_only = live_series([0] * 120, blocks, [calibration(at, blocks[at], used[at]) for at in (9, 119)])
    assert reported_growth(ends_only).bytes_per_iteration < 0.95 * 20 * 448


def test_calibrations_come_ever_more_seldom():
    points = calibration_points(10, 1440)

    assert points[:5] == [10, 12, 15, 18, 22]
    assert len(points) < 30
    assert points[-1] < 1440


@given(
    blocks=st.lists(st.integers(0, 10**7), min_size=30, max_size=60),
    used=st.lists(st.integers(0, 10**9), min_size=2, max_size=4),
)
def test_series_is_exact_at_every_calibration(blocks, used):
    points = [5 + 8 * i for i in range(len(used))]
    calibrations = [calibration(at, blocks[at], size) for at, size in zip(points, used, strict=True)]

    live = live_series([7] * len(blocks), blocks, calibrations)

    assert len(live) == len(blocks)
    assert [live[at] for at in points] == [pytest.approx(size + 7, abs=0.01) for size in used]


def test_no_seam_before_the_first_and_after_the_last_calibration():
    live = live_series([0] * 30, [100] * 30, [calibration(10, 100, 50_000), calibration(20, 100, 50_000)])

    assert live == [50_000] * 30


def test_shifted_moves_the_sample_only():
    moved = calibration(10, 5, 6).shifted(-1)

    assert (moved.at, moved.blocks, moved.used_bytes) == (9, 5, 6)
