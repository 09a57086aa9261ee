"""Real leaks in released packages, bad and fixed version: `python -m benchmarks.cases [--folder FOLDER] [NAME …]`.

Each case is a folder with `app.py` (an ASGI `app`, a `REQUEST`, perhaps an async `startup()`), `good.txt` and perhaps
`bad.txt` (pinned releases). Each version gets a virtual environment of its own and goes through the same test.
"""

from __future__ import annotations

import argparse
import functools
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import table
from benchmarks.cells import Cells, Result
from benchmarks.rivals import PROJECT

NAME = "cases"
FOLDER = Path(__file__).parent / "released"
TEST = """
import pytest
import app as case


@pytest.fixture
def memleak_app():
    return case.app


@pytest.mark.memleak(max_growth="64B/request")
async def test_case(memleak, memleak_client):
    if memleak.iteration == 0 and hasattr(case, "startup"):
        await case.startup()
    method, path, *body = case.REQUEST
    for _ in range(10):
        response = await memleak_client.request(method, path, json=body[0] if body else None)
        assert response.status_code != 599, response.text
"""
_EXPECTED = {"bad": "leak", "good": "passed"}


def check(name: str, version: str, *, folder: Path = FOLDER) -> Result:
    """Check one version of one case in a fresh virtual environment."""
    case = folder / name
    pins = (case / f"{version}.txt").read_text().split()
    with tempfile.TemporaryDirectory() as workspace:
        home = Path(workspace)
        (home / "app.py").write_text((case / "app.py").read_text())
        (home / "test_case.py").write_text(TEST)
        (home / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
        python = home / "venv/bin/python"
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *pins, str(PROJECT)]
        installed = subprocess.run(install, capture_output=True, text=True, check=False)
        if installed.returncode:
            return {"pins": pins, "verdict": "not installed", "why": installed.stderr.strip()[-200:]}
        began = time.monotonic()
        subprocess.run([python, "-m", "pytest", "--memcheck", "-q"], cwd=home, capture_output=True, check=False)
        took = time.monotonic() - began
        file = home / "leak_report.txt"
        return {"pins": pins, "seconds": round(took), **_told(file.read_text() if file.exists() else "")}


def _told(report: str) -> Result:
    """The verdict of a report, and what it says of the growth and its place."""
    verdict = re.search(r"^(PASSED|LEAK|INCONCLUSIVE|ERROR):", report, re.MULTILINE)
    facts = {name: _fact(report, name) for name in ("each", "line", "held by", "cause")}
    return {
        "verdict": verdict[1].lower() if verdict else "no report",
        "growth": facts["each"],
        "where": facts["line"] or facts["held by"] or facts["cause"],
    }


def _fact(report: str, name: str) -> str:
    match = re.search(rf"^  {name}\s+(.*)$", report, re.MULTILINE)
    return match[1] if match else ""


def _keys(folder: Path) -> list[tuple[str, ...]]:
    cases = sorted(path.parent for path in folder.glob("*/app.py"))
    return [(case.name, version) for case in cases for version in _EXPECTED if (case / f"{version}.txt").exists()]


def measure(runs: int, *, cells: Cells | None = None, folder: Path = FOLDER, names: tuple[str, ...] = ()) -> None:
    """Check each release once, however often other tables run: some take many minutes.

    Args:
        runs: none if it is 0.
        cells: where the results are kept.
        folder: of the cases.
        names: some of them only.
    """
    keys = [key for key in _keys(folder) if not names or key[0] in names]
    (cells or Cells(NAME)).fill(keys, min(runs, 1), functools.partial(check, folder=folder))


def make_table(cells: Cells | None = None, folder: Path = FOLDER) -> table.Table:
    """What the test said of each release."""
    cells = cells or Cells(NAME)
    rows: list[table.Row] = []
    right = wrong = missing = 0
    for name, version in _keys(folder):
        expected, runs = _EXPECTED[version], cells.of(name, version)
        verdict = str(runs[-1]["verdict"]) if runs else "not run"
        right += verdict == expected
        wrong += bool(runs) and verdict != expected
        missing += not runs
        facts = [runs[-1].get(fact, "") for fact in ("growth", "where")] if runs else ["", ""]
        took = f"{runs[-1]['seconds']} s" if runs and "seconds" in runs[-1] else ""
        pins = " ".join((folder / name / f"{version}.txt").read_text().split())
        rows.append((name, pins, expected, verdict, took, *facts))
    met = "Missed" if wrong else "Not all were run" if missing else "Met"
    return table.Table(
        title="Real leaks in released packages",
        headers=("case", "release", "true", "verdict", "took", "growth", "where"),
        rows=rows,
        runs=cells.run_counts(),
        dates=cells.dates(),
        module=NAME,
        notes=(
            "Each release is installed into a virtual environment of its own and goes through the same test with a "
            "budget of 64 bytes a request; `benchmarks/released` has the apps, and who reported the leak.",
            f"Target: every bad release is found, every fixed one passes. {met}: {right} right, {wrong} wrong.",
        ),
    )


def main() -> None:
    """Check what was not checked yet, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help="some of the cases only")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="other cases than those in benchmarks/released")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as elsewhere:
        # What is kept, and published, is of the cases that everybody has.
        cells = Cells(NAME) if chosen.folder == FOLDER else Cells(NAME, Path(elsewhere))
        measure(1, cells=cells, folder=chosen.folder, names=tuple(chosen.names))
        make_table(cells, chosen.folder).show()


if __name__ == "__main__":
    main()
