"""The small examples do what their first line says, run as a user would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, folder: Path) -> tuple[int, str, str]:
    """Exit code, output and report of checking a copy of one example."""
    home = folder / name
    shutil.copytree(EXAMPLES / name, home, ignore=shutil.ignore_patterns("__pycache__", "leak_report.txt", ".*"))
    command = [sys.executable, "-m", "pytest", "--memcheck", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, (home / "leak_report.txt").read_text("utf-8")


def test_quickstart(tmp_path):
    pytest.importorskip("fastapi")
    code, output, report = run("quickstart", tmp_path)
    assert code == 1
    assert "1 failed, 1 passed" in output
    assert "LEAK: grows by 72" in report
    assert "line        app.py:16" in report
    assert "held by     app.history" in report


def test_a_ttl_cache_passes_because_time_is_simulated(tmp_path):
    pytest.importorskip("cachetools")
    code, output, report = run("ttl_cache", tmp_path)
    assert code == 0
    assert "1 passed, 1 xfailed" in output
    assert "PASSED" in report
    assert "LEAK: grows by 8" in report


def test_a_leak_in_a_periodic_job_is_found(tmp_path):
    pytest.importorskip("fastapi")
    code, output, report = run("periodic_job", tmp_path)
    assert code == 0
    assert "1 xfailed" in output
    assert "LEAK: grows by 864" in report
    assert "line        test_periodic_job.py:21" in report
    assert "held by     snapshots, local of test_periodic_job.make_app.<locals>.clean_up" in report
