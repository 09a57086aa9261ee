"""The same verdict every time, on a busy machine: `python -m benchmarks.flake_rate [--runs 50]`.

Runs the quickstart's clean and leaking test while one process per CPU computes at normal priority.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks import table
from benchmarks.cells import Cells, Result
from benchmarks.rivals import PROJECT

NAME = "flake_rate"
TESTS = {"test_healthy": "passed", "test_leaky": "leak"}


@contextlib.contextmanager
def busy_machine() -> Iterator[None]:
    """One process per CPU that computes until the end."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def check(test: str) -> Result:
    """The verdict on one of the quickstart's tests, in a fresh process."""
    with tempfile.TemporaryDirectory() as folder, busy_machine():
        project = shutil.copytree(PROJECT / "examples/quickstart", Path(folder, "quickstart"))
        command = [sys.executable, "-m", "pytest", "-q", "--memcheck", "--memcheck-json=record.json", "-k", test]
        began = time.monotonic()
        subprocess.run(command, cwd=project, capture_output=True, check=False)
        record = project / "record.json"
        outcome = json.loads(record.read_text())["tests"][0]["verdict"] if record.exists() else "no report"
        return {"outcome": outcome, "seconds": round(time.monotonic() - began, 2)}


def measure(runs: int, *, cells: Cells | None = None) -> None:
    """Check both tests that often."""
    (cells or Cells(NAME)).fill([(test,) for test in TESTS], runs, check)


def make_table(cells: Cells | None = None) -> table.Table:
    """How often each verdict came."""
    cells = cells or Cells(NAME)
    rows, flakes = [], 0
    for test, expected in TESTS.items():
        counts = Counter(str(run["outcome"]) for run in cells.of(test))
        flakes += counts.total() - counts[expected]
        rows.append((test, expected, ", ".join(f"{count} {word}" for word, count in counts.most_common())))
    return table.Table(
        title="The same verdict every time",
        headers=("quickstart's test", "true", "verdicts under CPU load"),
        rows=rows,
        runs=cells.run_counts(),
        dates=cells.dates(),
        module=NAME,
        notes=(f"Target: no other verdict in any run. {'Missed' if flakes else 'Met'}: {flakes} other verdicts.",),
    )


if __name__ == "__main__":
    table.main(measure, make_table, runs=50)
