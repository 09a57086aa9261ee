"""The smallest leak per request that is found without a false positive: `python -m benchmarks.detection_floor`."""

from __future__ import annotations

import statistics

from benchmarks import rivals, table, verdicts
from benchmarks.cells import Cells
from benchmarks.scenarios import named

NAME = "detection_floor"
SIZES = (4, 8, 16, 32, 64, 128, 256)
TARGET = 16


def _names(size: int) -> tuple[str, str]:
    """The leak of this size under a budget of half of it, and the same app without it."""
    return f"keeps {size} B under {size // 2} B", f"quiet at {size} B under {size // 2} B"


def measure(runs: int, *, cells: Cells | None = None) -> None:
    """Check each leak, and the quiet app, under half the leak as budget."""
    keys = [(verdicts.FLAGSHIP, name) for size in SIZES for name in _names(size)]
    (cells or Cells(NAME)).fill(keys, runs, rivals.run)


def make_table(cells: Cells | None = None) -> table.Table:
    """Found and passed, by size."""
    cells = cells or Cells(NAME)
    rows, good = [], []
    for size in SIZES:
        leaking, quiet = (cells.of(verdicts.FLAGSHIP, name) for name in _names(size))
        found = verdicts.score(named(_names(size)[0]), leaking)
        passed = verdicts.score(named(_names(size)[1]), quiet)
        if leaking and quiet and found["right"] == len(leaking) and not passed["wrong"]:
            good.append(size)
        else:
            good.clear()
        budget, rates = f"{size // 2} B/request", [float(str(run["bytes_per_iteration"])) / 10 for run in leaking]
        reported = f"{statistics.median(rates):.0f} B" if rates else ""
        rows.append((f"{size} B", budget, verdicts.told(found), reported, verdicts.told(passed)))
    floor = f"{good[0]} B a request" if good else "above all of these"
    return table.Table(
        title="Detection floor",
        headers=("leak a request", "budget", "leak", "rate reported", "the same app without it"),
        rows=rows,
        runs=cells.run_counts(),
        dates=cells.dates(),
        module=NAME,
        notes=(
            f"Target: at most {TARGET} B a request on a quiet app, ten requests an iteration, 1,440 iterations. "
            f"{'Met' if good and good[0] <= TARGET else 'Missed'}: from {floor} on every leak is found and "
            "no app without one is called a leak.",
            "Nothing is smaller than 16 bytes: 4 and 8 bytes a request are one object in four and in two requests.",
        ),
    )


if __name__ == "__main__":
    table.main(measure, make_table)
