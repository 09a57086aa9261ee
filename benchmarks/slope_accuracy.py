"""The rate reported against the rate injected: `python -m benchmarks.slope_accuracy`."""

from __future__ import annotations

import statistics

from benchmarks import rivals, table, verdicts
from benchmarks.cells import Cells, Result
from benchmarks.scenarios import named

NAME = "slope_accuracy"
SIZES = (16, 64, 256, 1_000, 5_000, 34_722, 69_444)


def _name(size: int) -> str:
    return f"keeps {size} B under {size // 2} B"


def measure(runs: int, *, cells: Cells | None = None) -> None:
    """Check a leak of each size, whose bytes are exact, under half of it as budget."""
    (cells or Cells(NAME)).fill([(verdicts.FLAGSHIP, _name(size)) for size in SIZES], runs, rivals.run)


def _number(run: Result, what: str) -> float:
    return float(str(run[what]))


def make_table(cells: Cells | None = None) -> table.Table:
    """Injected, reported, the width of the interval and how often it covers the truth."""
    cells = cells or Cells(NAME)
    rows, covered_in_all, known = [], 0, 0
    for size in SIZES:
        true = named(_name(size)).bytes_per_iteration
        runs = [run for run in cells.of(verdicts.FLAGSHIP, _name(size)) if run.get("low") is not None]
        if not runs:
            continue
        covered = sum(_number(run, "low") <= true <= _number(run, "high") for run in runs)
        rate = statistics.median(_number(run, "bytes_per_iteration") for run in runs)
        width = statistics.median((_number(run, "high") - _number(run, "low")) / 2 for run in runs)
        worst = max(abs(_number(run, "bytes_per_iteration") / true - 1) for run in runs)
        error = f"{100 * (rate / true - 1):+.2f} %"
        row = (f"{true:,.0f} B", f"{rate:,.0f} B", error, f"{100 * worst:.2f} %", f"± {width:,.0f} B")
        rows.append((*row, f"{covered} of {len(runs)}"))
        covered_in_all, known = covered_in_all + covered, known + len(runs)
    return table.Table(
        title="Accuracy of the rate",
        headers=("injected an iteration", "reported (median)", "error", "worst error", "99 % interval", "covers it"),
        rows=rows,
        runs=cells.run_counts(),
        dates=cells.dates(),
        module=NAME,
        notes=(
            f"The 99 % interval covers the injected rate in {covered_in_all} of {known} runs.",
            "Injected is what the allocator hands out (multiples of 16 bytes, glibc's header included), kept in a list "
            "that has its size from the start. What the run itself and httpx keep counts as error; the quiet app of "
            "the verdicts' no-op shows how much that is.",
        ),
    )


if __name__ == "__main__":
    table.main(measure, make_table)
