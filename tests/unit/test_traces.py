"""The decision on series recorded from a real application with a known leak, or none."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from pytest_memleak.judge.decision import Standing, looks
from pytest_memleak.judge.live import Calibration
from pytest_memleak.judge.memory import MemoryLook, Readings, look_at_memory

TRACES = Path(__file__).parent / "traces"
EXPECTED = list(csv.DictReader((TRACES / "expected.csv").read_text(encoding="utf-8").splitlines()))
BUDGET = 500e6 / 1440


def read(name: str) -> list[dict[str, int]]:
    """The rows of a trace; `small_bytes`, what the small blocks hold, is known at the looks only."""
    with gzip.open(TRACES / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
        assert file.readline().startswith("# scenario ")
        return [{column: int(value) for column, value in row.items() if value} for row in csv.DictReader(file)]


def readings(rows: list[dict[str, int]], first: int = 1) -> Readings:
    rss = [row["rss_bytes"] for row in rows[first:]]
    return Readings(
        rss_bytes=rss,
        vms_bytes=rss,  # not recorded: taken as growing with RSS
        heap_bytes=[row["heap_bytes"] for row in rows[first:]],
        blocks=[row["blocks"] for row in rows[first:]],
        calibrations=tuple(
            Calibration(
                at=i - first,
                blocks=row["blocks"],
                used_bytes=row["small_bytes"],
                arena_bytes=row["small_bytes"],
            )
            for i, row in enumerate(rows)
            if "small_bytes" in row
        ),
        requests=0,
    )


def decide(rows: list[dict[str, int]], first_look: int, last_look: int) -> tuple[MemoryLook, int]:
    standing = Standing()
    for at in looks(first_look, last_look):
        look = look_at_memory(readings(rows[:at]), budget=BUDGET, standing=standing, last=at == last_look)
        if look.outcome != "continue":
            return look, at
        standing = look.standing
    raise AssertionError("the last look always decides")


@pytest.mark.parametrize("expected", EXPECTED, ids=[row["trace"] for row in EXPECTED])
def test_verdict_of_a_real_run(expected):
    rows = read(expected["trace"])
    assert len(rows) == int(expected["rows"])

    look, at = decide(rows, int(expected["first_look"]), int(expected["last_look"]))

    leaking = [name for name, sensor in (("live", look.live), ("rss", look.rss)) if sensor.leaks]
    seen_by = "+".join(leaking) if look.outcome == "leak" else ""
    assert (look.outcome, at, seen_by) == (
        expected["verdict"],
        int(expected["at_iteration"]),
        expected["leak_seen_by"],
    )


def test_every_trace_is_expected():
    assert {row["trace"] for row in EXPECTED} == {path.name.removesuffix(".csv.gz") for path in TRACES.glob("*.gz")}
    assert len(EXPECTED) == 47


@pytest.mark.parametrize(("name", "bytes_per_iteration"), [("S600.leak-py-70000", 700e3), ("S600.leak-c-1000", 10e3)])
def test_reported_rate_is_the_injected_one(name, bytes_per_iteration):
    look, _ = decide(read(name), 600, 600)

    assert look.live_growth.bytes_per_iteration == pytest.approx(bytes_per_iteration, rel=0.02)
    assert look.live_growth.low_bytes_per_iteration < bytes_per_iteration * 1.01
    assert look.live_growth.high_bytes_per_iteration > bytes_per_iteration * 0.99
