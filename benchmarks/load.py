"""What the plugin itself keeps in a very long run and in a very large session: `python -m benchmarks.load`.

The step of the long run keeps a known number of bytes, so that no look ends it early; what is measured beyond
them is the plugin's own. A session keeps the report of each test, and its entry of the record.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import table
from benchmarks.cells import Cells, Result
from benchmarks.rivals import PROJECT

NAME = "load"
VARIED = {"iterations": (20_000, 100_000), "tests": (100, 1_000)}
_MOST_BYTES = {"iterations": 120, "tests": 60_000}
"""The targets: a kept object is some bytes more than what it holds; a report and an entry are some kB."""

_RUN = """
import json, sys
from pytest_memleak import check

KEPT, count = 1_000, int(sys.argv[1])
kept, at = [None] * count, iter(range(count))


def step():
    kept[next(at)] = bytearray(KEPT)


verdict = check(step, duration=f"{count}min", max_growth="100B/iteration", explain=False)
assert (verdict.outcome, verdict.iterations) == ("leak", count)
print(json.dumps(verdict.live.bytes_per_iteration - KEPT))
"""

_SESSION = """
import psutil, pytest

COUNT, FIRST = {count}, 20
rss = []


@pytest.mark.memleak(duration="1h", explain=False)
@pytest.mark.parametrize("number", range(COUNT))
def test_nothing(memleak, number):
    if memleak.iteration == 0:
        rss.append(psutil.Process().memory_info().rss)


def test_own_memory():
    with open("own", "w") as file:
        file.write(str((rss[-1] - rss[FIRST]) / (COUNT - 1 - FIRST)))
"""


def check(what: str, value: str) -> Result:
    """One run of this size: elapsed seconds, and the bytes that each iteration or test leaves."""
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _RUN, value]
        if what == "tests":
            Path(folder, "test_load.py").write_text(_SESSION.format(count=value))
            command = [sys.executable, "-m", "pytest", "-q", "-p", "asyncio", "-p", "memleak", "--memcheck"]
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
        each = Path(folder, "own").read_text() if what == "tests" else run.stdout
        return {"seconds": round(time.monotonic() - began, 1), "bytes_each": round(json.loads(each))}


def measure(runs: int, *, cells: Cells | None = None) -> None:
    """Run every size that often."""
    keys = [(what, str(value)) for what, values in VARIED.items() for value in values]
    (cells or Cells(NAME)).fill(keys, runs, check)


def make_table(cells: Cells | None = None) -> table.Table:
    """Medians by size."""
    cells = cells or Cells(NAME)
    rows, missed = [], []
    for what, values in VARIED.items():
        for value in values:
            if runs := cells.of(what, str(value)):
                seconds, each = (
                    statistics.median(float(str(run[key])) for run in runs) for key in runs[0] if key != "date"
                )
                rows.append((what, f"{value:,}", f"{seconds:.0f} s", f"{each:,.0f} B", f"{_MOST_BYTES[what]:,} B"))
                missed += [f"{value:,} {what}"] if each > _MOST_BYTES[what] else []
    return table.Table(
        title="Load",
        headers=("of", "count", "elapsed", "kept for each", "target: at most"),
        rows=rows,
        runs=cells.run_counts(),
        dates=cells.dates(),
        module=NAME,
        notes=(
            "Memory is flat where the number for each does not depend on how many there are. An iteration's is "
            "mostly the overhead of the object that the step keeps; a test's is its report and its entry.",
            f"Target missed by {', '.join(missed)}." if missed else "Every target is met.",
        ),
    )


if __name__ == "__main__":
    table.main(measure, make_table, runs=1)
