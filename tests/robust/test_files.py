"""The report is written whole or not at all, and a disk that is full costs nobody a verdict."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_memleak.writing import write_whole

WRITER = """
import sys
from pathlib import Path
from pytest_memleak.writing import write_whole

for _ in range(200):
    write_whole(Path(sys.argv[1]), sys.argv[2] * 300_000)
"""


def test_two_sessions_write_the_same_file(tmp_path):
    report = tmp_path / "leak_report.txt"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, report, letter]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if report.exists():
            seen.add(report.read_text(encoding="utf-8"))

    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {"a" * 300_000, "b" * 300_000}
    assert seen
    assert [path.name for path in tmp_path.iterdir()] == ["leak_report.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_full_disk(project, faulty, requesting):
    faulty(requesting("ok"), requesting("leak"))

    result = project.runpytest_subprocess("--memcheck", "--memcheck-report=/dev/full")

    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["memleak: the report /dev/full could not be written (No space left on device); *"])
    assert len([line for line in result.outlines if "could not be written" in line]) == 1
    assert Path("/dev/full").is_char_device()


def test_path_that_is_none(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    for path in (loop, tmp_path / "a\0b"):
        with pytest.raises(OSError, match=r"loop|null"):
            write_whole(path, "text")


def test_report_behind_a_link(project, faulty, requesting):
    project.path.joinpath("real.txt").touch()
    project.path.joinpath("link.txt").symlink_to("real.txt")
    faulty(requesting("ok"))

    project.runpytest_subprocess("--memcheck", "--memcheck-report=link.txt").assert_outcomes(passed=3)

    assert project.path.joinpath("link.txt").is_symlink()
    assert "1 passed" in project.path.joinpath("real.txt").read_text(encoding="utf-8")
