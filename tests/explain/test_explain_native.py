"""Native leaks are found by memray; where it cannot run, that is a note."""

from __future__ import annotations

import asyncio
import pathlib
import sys

import planted
import pytest

from pytest_memleak.explain.native import native_leaks
from pytest_memleak.explain.watch import Step


def nothing() -> Step:
    async def step() -> None:
        return None

    return step


def test_names_the_c_function_and_the_apps_line(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("memray")
    installed = tmp_path / "site-packages"
    installed.mkdir()
    if not planted.build_extension(installed):
        pytest.skip("no C compiler")
    found = planted.in_fresh_process("c_malloc", extension=str(installed))
    assert found["top_line"] == "c_malloc.py:10"
    assert str(found["cause"]).startswith("native allocations: 30")
    findings = found["findings"]
    assert isinstance(findings, list)
    assert findings[0][:2] == [
        "native_allocation",
        "keep, called from c_malloc.py:10 keeps 30.0 kB of native memory in 10 allocations per iteration",
    ]
    owners = found["owners"]
    assert isinstance(owners, list)
    assert owners[0] == "leaky"


def test_without_memray_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "memray", None)
    native = asyncio.run(native_leaks(nothing()))
    assert native.note == "native stacks are unknown: memray is not installed (Linux and macOS only)"


def test_a_tracker_of_somebody_else_is_left_alone(tmp_path: pathlib.Path) -> None:
    memray = pytest.importorskip("memray")
    with memray.Tracker(tmp_path / "theirs.bin"):
        native = asyncio.run(native_leaks(nothing()))
    assert native.leaks == ()
    assert native.note is not None
    assert native.note.startswith("native stacks are unknown: ")


def test_a_profiler_is_left_alone() -> None:
    pytest.importorskip("memray")
    profile = lambda *_: None  # noqa: E731
    sys.setprofile(profile)
    try:
        native = asyncio.run(native_leaks(nothing()))
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
    assert native.note is not None
    assert "profiler" in native.note


def test_leaves_no_file_behind(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("memray")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    native = asyncio.run(native_leaks(nothing()))
    assert native.leaks == ()
    assert list(tmp_path.iterdir()) == []
