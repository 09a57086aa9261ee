"""The same verdict every time, whatever else the machine does: `python -m benchmarks.flake_rate [--runs 50]`.

Runs the quickstart's clean and leaking test alone, while one process per CPU computes at normal priority, and in four
workers of pytest-xdist at once.
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
WORKERS = 4
ENOUGH = 50
ALONE, BUSY, TOGETHER = "alone", "both cores busy", f"-n {WORKERS}"
CONDITIONS = (ALONE, BUSY, TOGETHER)


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


def check(condition: str, test: str) -> Result:
    """One session of pytest: the verdict on one of the quickstart's tests; with workers, one verdict of each."""
    load = busy_machine() if condition == BUSY else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as folder, load:
        project = shutil.copytree(PROJECT / "examples/quickstart", Path(folder, "quickstart"))
        workers = []
        if condition == TOGETHER:
            workers = ["-n", str(WORKERS)]
            for copy in range(1, WORKERS):
                shutil.copy(project / "test_quickstart.py", project / f"test_copy_{copy}.py")
        command = [sys.executable, "-m", "pytest", "-q", "--memcheck", "--memcheck-json=record.json", "-k", test]
        began = time.monotonic()
        subprocess.run([*command, *workers], cwd=project, capture_output=True, check=False)
        record = project / "record.json"
        tests = json.loads(record.read_text())["tests"] if record.exists() else []
        verdicts = [one["verdict"] for one in tests] or ["no report"]
        return {"verdicts": verdicts, "seconds": round(time.monotonic() - began, 2)}


def measure(runs: int, *, cells: Cells | None = None) -> None:
    """Collect at least that many verdicts on both tests under each condition."""
    cells = cells or Cells(NAME)
    for condition in CONDITIONS:
        sessions = -(-runs // WORKERS) if condition == TOGETHER else runs
        cells.fill([(condition, test) for test in TESTS], sessions, check)


def make_table(cells: Cells | None = None) -> table.Table:
    """How often each verdict came."""
    cells = cells or Cells(NAME)
    rows, flakes, totals = [], 0, []
    for test, expected in TESTS.items():
        found = [Counter(_verdicts(cells.of(condition, test))) for condition in CONDITIONS]
        flakes += sum(counts.total() - counts[expected] for counts in found)
        totals += [counts.total() for counts in found]
        told = [", ".join(f"{count} {word}" for word, count in counts.most_common()) or "not run" for counts in found]
        rows.append((test, expected, *told))
    met = "Missed" if flakes else "Met" if min(totals) >= ENOUGH else "Not all were run"
    return table.Table(
        title="The same verdict every time",
        headers=("quickstart's test", "true", *CONDITIONS),
        rows=rows,
        runs=f"at least {min(totals)} verdicts",
        dates=cells.dates(),
        module=NAME,
        notes=(f"Target: no other verdict in {ENOUGH} runs of each. {met}: {flakes} other verdicts.",),
    )


def _verdicts(sessions: list[Result]) -> Iterator[str]:
    for session in sessions:
        found = session["verdicts"]
        assert isinstance(found, list)
        yield from found


if __name__ == "__main__":
    table.main(measure, make_table, runs=ENOUGH)
