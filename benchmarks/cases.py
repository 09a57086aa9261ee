"""Real leaks in released packages, bad and fixed version: `python -m benchmarks.cases FOLDER [NAME …]`.

Each case is a folder with `app.py` (an ASGI `app`, a `REQUEST`, perhaps an async `startup()`), `good.txt` and perhaps
`bad.txt` (pinned releases). Each version gets a virtual environment of its own and goes through the same test.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tabulate import tabulate

PROJECT = Path(__file__).parent.parent
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


def run_case(case: Path, version: str, workspace: Path) -> tuple[object, ...]:
    """Check one version of one case in a fresh virtual environment; a row of the table."""
    home = workspace / f"{case.name}-{version}"
    home.mkdir()
    (home / "app.py").write_text((case / "app.py").read_text())
    (home / "test_case.py").write_text(TEST)
    (home / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pins = (case / f"{version}.txt").read_text().split()
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    python = home / "venv/bin/python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *pins, str(PROJECT)]
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    expected = "leak" if version == "bad" else "passed"
    if installed.returncode:
        return (case.name, " ".join(pins), expected, "not installed", "", "", installed.stderr.strip()[-80:])
    began = time.monotonic()
    subprocess.run([python, "-m", "pytest", "--memcheck", "-q"], cwd=home, capture_output=True, check=False)
    took = time.monotonic() - began
    report = (home / "leak_report.txt").read_text()
    verdict = re.search(r"^(PASSED|LEAK|INCONCLUSIVE|ERROR):", report, re.MULTILINE)
    facts = {name: _fact(report, name) for name in ("each", "line", "held by", "cause")}
    word = verdict[1].lower() if verdict else "no verdict"
    where = facts["line"] or facts["held by"] or facts["cause"]
    return (case.name, " ".join(pins), expected, word, facts["each"], f"{took:.0f} s", where)


def _fact(report: str, name: str) -> str:
    match = re.search(rf"^  {name}\s+(.*)$", report, re.MULTILINE)
    return match[1] if match else ""


def main() -> None:
    """Print the table."""
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    cases = sorted(path.parent for path in folder.glob("*/app.py") if not names or path.parent.name in names)
    jobs = [(case, version) for case in cases for version in ("bad", "good") if (case / f"{version}.txt").exists()]
    with tempfile.TemporaryDirectory() as workspace, ThreadPoolExecutor(1) as pool:
        rows = []
        for row in pool.map(lambda job: run_case(*job, Path(workspace)), jobs):
            rows.append(row)
            print(*row, sep=" | ", file=sys.stderr, flush=True)
    headers = ("case", "release", "expected", "verdict", "growth", "took", "where")
    print(tabulate(rows, headers=headers, disable_numparse=True))
    right = sum(row[2] == row[3] for row in rows)
    print(json.dumps({"right": right, "of": len(rows)}))


if __name__ == "__main__":
    main()
