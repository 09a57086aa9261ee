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
    # 1,440 MB/24h; RSS alone sees a little less in an hour, where malloc reuses what the start-up freed.
    assert found["test_leak"].startswith(("LEAK: grows by 1,4", "LEAK: grows by 1,3"))
    report = project.path.joinpath("leak_report.txt").read_text(encoding="utf-8").replace("\n", " ")
    assert f"sensors: {sensors};" in report


UNREADABLE = {
    "all of them read 0": ("psutil.Process.memory_info = lambda self: mock.Mock(rss=0, vms=0)", "all read 0 here"),
    "the system refuses": (
        "psutil.Process.memory_info = mock.Mock(side_effect=psutil.AccessDenied())",
        "the memory of this process cannot be read (AccessDenied)",
    ),
}


@pytest.mark.parametrize("reason", UNREADABLE)
def test_a_memory_that_cannot_be_read_is_an_error(project, faulty, requesting, verdicts, monkeypatch, reason):
    patch, said = UNREADABLE[reason]
    monkeypatch.setenv("PYTHONMALLOC", "malloc")  # which leaves Python's blocks at 0
    faulty(requesting("leak", "duration='1h'"))
    project.path.joinpath("conftest.py").open("a").write(f"{BARE}\nfrom unittest import mock\n{patch}\n")

    result = project.runpytest_subprocess("--memcheck", "-k", "test_leak")

    result.assert_outcomes(failed=1, deselected=2)
    assert verdicts()["test_leak"].startswith("ERROR: nothing was measured: ")
    assert said in " ".join(project.path.joinpath("leak_report.txt").read_text(encoding="utf-8").split())
    assert "Traceback" not in result.stdout.str()
