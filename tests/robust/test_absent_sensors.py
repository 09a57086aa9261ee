"""What the platform does not tell is done without, and the report says what there was."""

from __future__ import annotations

import pytest

BARE = """
import os, sys
import psutil

for name in ("heap_info", "heap_trim"):  # musl
    if hasattr(psutil, name):
        delattr(psutil, name)
sys.modules["memray"] = None  # Windows
_open = os.open


def without_proc(path, *arguments, **named):  # macOS
    if str(path).startswith("/proc"):
        raise FileNotFoundError(path)
    return _open(path, *arguments, **named)


os.open = without_proc
"""


@pytest.mark.parametrize(
    ("python_malloc", "bare", "sensors"),
    [("malloc", False, "RSS, C heap"), ("malloc", True, "RSS"), ("", True, "RSS, Python blocks")],
)
def test_the_sensors_that_exist_are_used(
    project, faulty, requesting, verdicts, monkeypatch, python_malloc, bare, sensors
):
    if python_malloc:
        monkeypatch.setenv("PYTHONMALLOC", python_malloc)
    faulty(requesting("ok"), requesting("leak", "explain=True, duration='1h'"))
    if bare:
        project.path.joinpath("conftest.py").open("a").write(BARE)

    result = project.runpytest_subprocess("--memcheck")

    result.assert_outcomes(passed=5, failed=1)
    found = verdicts()
    assert found["test_ok"].startswith("PASSED")
    assert found["test_leak"].startswith("LEAK: grows by 1,4")
    report = project.path.joinpath("leak_report.txt").read_text(encoding="utf-8").replace("\n", " ")
    assert f"sensors: {sensors};" in report
