"""What a check costs as things grow: `python -m benchmarks.scale`.

Iterations, live objects, routes, tests in one run, workers of `-n`: one varies, the others stay.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import table
from benchmarks.cells import Cells, Result
from benchmarks.rivals import PROJECT

NAME = "scale"
VARIED = {
    "iterations": (60, 240, 480, 1_440),
    "live objects": (0, 100_000, 1_000_000, 3_000_000),
    "routes": (1, 10, 100, 1_000),
    "tests": (1, 10, 40),
    "workers": (0, 1, 2, 4),
}

_TEST = """
import pytest
from benchmarks.scenarios.clean import no_op

HEAP = [{{"key": [number]}} for number in range({objects} // 2)]  # a dict and a list each


@pytest.fixture
def memleak_app():
    return no_op()


@pytest.mark.parametrize("number", range({tests}))
@pytest.mark.memleak(profile="full", duration="{iterations}min")
async def test_no_op(memleak, memleak_client, number):
    for i in range(10):
        await memleak_client.get(f"/{{(memleak.iteration * 10 + i) % {routes}}}")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One setting of everything that is varied."""

    iterations: int = 240
    objects: int = 0
    routes: int = 1
    tests: int = 1
    workers: int = 0


def _size(what: str, value: int) -> Size:
    fixed = {"tests": 8, "iterations": 120} if what == "workers" else {}
    return Size(**{**fixed, what.removeprefix("live "): value})


def check(what: str, value: str) -> Result:
    """One run of pytest at this size: elapsed and CPU seconds of all, milliseconds of an iteration."""
    size = _size(what, int(value))
    with tempfile.TemporaryDirectory() as folder:
        text = _TEST.format(objects=size.objects, tests=size.tests, iterations=size.iterations, routes=size.routes)
        Path(folder, "test_scale.py").write_text(text)
        Path(folder, "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "asyncio", "-p", "memleak"]
        workers = ["-p", "xdist", "-n", str(size.workers)] if size.workers else []
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command += [*workers, "--memcheck", "--memcheck-json=record.json"]
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        tests = json.loads(Path(folder, "record.json").read_text())["tests"]
    return {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "iteration_ms": round(1e3 * sum(t["real_s"] for t in tests) / sum(t["iterations"] for t in tests), 3),
    }


def measure(runs: int, *, cells: Cells | None = None) -> None:
    """Run every size that often."""
    keys = [(what, str(value)) for what, values in VARIED.items() for value in values]
    (cells or Cells(NAME)).fill(keys, runs, check)


def make_table(cells: Cells | None = None) -> table.Table:
    """Medians by size."""
    cells = cells or Cells(NAME)
    rows = []
    for what, values in VARIED.items():
        for value in values:
            runs = cells.of(what, str(value))
            if runs:
                middle = {
                    name: statistics.median(float(str(run[name])) for run in runs) for name in runs[0] if name != "date"
                }
                shown = (f"{middle['seconds']:.1f} s", f"{middle['cpu_s']:.1f} s", f"{middle['iteration_ms']:.2f} ms")
                rows.append((what, f"{value:,}", *shown))
    return table.Table(
        title="Scale",
        headers=("varied", "value", "elapsed", "CPU", "an iteration"),
        rows=rows,
        runs=cells.run_counts(),
        dates=cells.dates(),
        module=NAME,
        notes=(
            "A no-op app, ten requests an iteration, 240 iterations in full, one test, no workers, unless varied; "
            "workers share 8 tests of 120 iterations. Elapsed and CPU include the start of pytest and, for live "
            "objects, making them. On a shared machine a single run tells orders of magnitude, no tenths.",
        ),
    )


if __name__ == "__main__":
    table.main(measure, make_table)
