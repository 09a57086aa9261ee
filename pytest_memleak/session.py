"""Gathers one plain dict per checked test on the controller, and writes the report once."""

from __future__ import annotations

import datetime
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pytest_memleak.options import Options
from pytest_memleak.settings import make_settings
from pytest_memleak.units import format_duration

SCHEMA = 1


class Gathered:
    """The entries of all checked tests of a session, in order of the first arrival.

    A test that is run again (reruns) replaces its entry.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.entries: dict[str, dict[str, Any]] = {}
        self.not_checked: dict[str, str] = {}
        self._started = datetime.datetime.now(datetime.UTC)

    def add(self, entry: dict[str, Any]) -> None:
        """Take over the entry of one test."""
        self.entries[entry["nodeid"]] = entry

    def take(self, report: pytest.TestReport) -> None:
        """Take over what a test's report brought along, from this process or a worker."""
        if entry := getattr(report, "memleak", None):
            self.add(entry)
        if reason := getattr(report, "memleak_not_checked", None):
            self.not_checked[report.nodeid] = reason

    def header(self) -> str:
        """The line at the top of the session."""
        settings = make_settings(self.options.values)
        return (
            f"memleak: profile {settings.profile} ({settings.first_look:,} to {settings.last_look:,} iterations of "
            f"{format_duration(settings.step_s)}), budget {settings.max_growth.text}"
        )

    def summarize(self, terminal: pytest.TerminalReporter, problem: str | None) -> None:
        """The section at the end of the session, when a test was checked."""
        if problem:
            terminal.write_line(f"memleak: {problem}", yellow=True)
        if not self.entries:
            if terminal.verbosity >= 0:
                terminal.write_line("memleak: no test was checked; mark tests with @pytest.mark.memleak")
            return
        from pytest_memleak.report import text

        terminal.write_sep("=", "memleak")
        if terminal.verbosity >= 0:
            terminal.write_line(text.summary_table(text.sorted_entries(self.entries.values())))
        for line in text.headlines(self.entries.values()):
            terminal.write_line(line)
        if not problem:
            terminal.write_line(f"memleak: report written to {self.options.report_path}")

    def record(self) -> dict[str, Any]:
        """The record of the session: plain builtins."""
        from importlib.metadata import version

        return {
            "schema": SCHEMA,
            "tool": {"name": "pytest-memleak", "version": version("pytest-memleak")},
            "environment": {
                "python": f"{platform.python_implementation()} {platform.python_version()}",
                "platform": platform.platform(),
                "cpus": os.cpu_count() or 1,
                "sensors": _sensors(),
                "started": self._started.strftime("%Y-%m-%d %H:%M UTC"),
            },
            "tests": list(self.entries.values()),
            "not_checked": [f"{nodeid}: {reason}" for nodeid, reason in self.not_checked.items()],
        }

    def write_report(self) -> str | None:
        """Write leak_report.txt; returns a sentence when that failed, for the terminal."""
        from pytest_memleak.report import text

        path = self.options.report_path
        try:
            write_whole(path, text.report(self.record()))
        except OSError as error:
            return f"the report {path} could not be written ({error.strerror or error}); the verdicts stand"
        return None


def _sensors() -> list[str]:
    import psutil

    heap = ["C heap"] if hasattr(psutil, "heap_info") else []
    blocks = ["Python blocks"] if sys.getallocatedblocks() else []
    return ["RSS", *heap, *blocks]


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the whole new one, never half.

    Raises:
        OSError: when the folder or the file cannot be written.
    """
    path = path.resolve()  # a link stays a link
    if path.exists() and not path.is_file():  # a device or a pipe: nothing there to replace
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
