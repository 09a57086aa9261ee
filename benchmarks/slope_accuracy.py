"""The rate reported against the rate injected: `python -m benchmarks.slope_accuracy`."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How near a sensor's rates came to the true one; bytes an iteration."""

    rate: float
    worst: float
    half_width: float
    covered: int

    @classmethod
    def of(cls, runs: list[Result], sensor: str, true: float) -> Accuracy:
        """From the runs' fields with this prefix."""
        rates, lows, highs = (
            [float(str(run[sensor + name])) for run in runs] for name in ("bytes_per_iteration", "low", "high")
        )
        return cls(
            statistics.median(rates),
            max(abs(rate / true - 1) for rate in rates),
            statistics.median((high - low) / 2 for low, high in zip(lows, highs, strict=True)),
            sum(low <= true <= high for low, high in zip(lows, highs, strict=True)),
        )


def make_table(cells: Cells | None = None) -> table.Table:
    """Injected, reported, the width of the interval and how often it covers the truth."""
    cells = cells or Cells(NAME)
    rows, covered, known = [], Counter[str](), 0
    for size in SIZES:
        true = named(_name(size)).bytes_per_iteration
        runs = [run for run in cells.of(verdicts.FLAGSHIP, _name(size)) if run.get("live_low") is not None]
        for sensor, words in (("", "reported"), ("live_", "live bytes alone")) if runs else ():
            found = Accuracy.of(runs, sensor, true)
            errors = (f"{100 * (found.rate / true - 1):+.1f} %", f"{100 * found.worst:.1f} %")
            interval = (f"± {found.half_width:,.0f} B", f"{found.covered} of {len(runs)}")
            rows.append((f"{true:,.0f} B", words, f"{found.rate:,.0f} B", *errors, *interval))
            covered[words] += found.covered
        known += len(runs)
    told = " and ".join(f"{count} of {known} ({words})" for words, count in covered.items())
    return table.Table(
        title="Accuracy of the rate",
        headers=("injected an iteration", "rate", "median", "error", "worst error", "99 % interval", "covers it"),
        rows=rows,
        runs=cells.run_counts(),
        dates=cells.dates(),
        module=NAME,
        notes=(
            f"The 99 % interval covers the injected rate in {told or 'no'} runs.",
            "Reported is the rate of the sensor that decides: live bytes, unless RSS grows by more than it creeps.",
            "Injected is what the allocator hands out (multiples of 16 bytes, glibc's header included), kept in a list "
            "that has its size from the start. What the run itself and httpx keep counts as error: some 5 to 70 bytes "
            "an iteration on the no-op app.",
        ),
    )


if __name__ == "__main__":
    table.main(measure, make_table)
