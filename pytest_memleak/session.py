"""Gathers one plain dict per checked test on the controller, and writes the report once."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_memleak.options import Options
from pytest_memleak.settings import make_settings
from pytest_memleak.units import format_duration
from pytest_memleak.writing import Written, workflow_commands, write_reports


class Gathered:
    """The entries of all checked tests of a session, in order of the first arrival.

    A test that is run again (reruns) replaces its entry.

    Args:
        options: what was asked for.
        root: the root directory.
    """

    def __init__(self, options: Options, root: Path) -> None:
        self.options = options
        self._root = root
        self._written = Written()
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
        first, last = settings.first_look, settings.last_look
        iterations = f"{first:,} to {last:,}" if first < last else f"{last:,}"
        return (
            f"memleak: profile {settings.profile} ({iterations} iterations of {format_duration(settings.step_s)}), "
            f"budget {settings.max_growth.text}"
        )

    def summarize(self, terminal: pytest.TerminalReporter) -> None:
        """The section at the end of the session, when a test was checked."""
        for problem in self._written.problems:
            terminal.write_line(f"memleak: {problem}", yellow=True)
        if not self.entries:
            if terminal.verbosity >= 0:
                terminal.write_line(f"memleak: {self._why_empty()}")
            return
        from pytest_memleak.report import text
        from pytest_memleak.report.facts import sorted_entries

        terminal.write_sep("=", "memleak")
        if terminal.verbosity >= 0:
            terminal.write_line(text.summary_table(sorted_entries(self.entries.values())))
        for line in (*text.headlines(self.entries.values()), *self._compared()):
            terminal.write_line(line)
        for path in self._written.paths:
            what = "baseline" if path == self.options.outputs.save_path else "report"
            terminal.write_line(f"memleak: {what} written to {path}")
        for line in workflow_commands(self.record(), self._root):
            terminal.write_line(line)

    def _why_empty(self) -> str:
        if self.options.scan and self.options.scan.by_flag:
            return f"no operation of {self.options.scan.app} was checked"
        return "no test was checked; mark tests with @pytest.mark.memleak"

    def _compared(self) -> list[str]:
        """What differs from the baseline; a regression is among the headlines."""
        from pytest_memleak.report import text

        return text.differences(self.record())

    def record(self) -> dict[str, Any]:
        """The record of the session: plain builtins."""
        from importlib.metadata import version

        from pytest_memleak.report.record import SCHEMA

        record: dict[str, Any] = {
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
            "baseline": None,
        }
        outputs = self.options.outputs
        if outputs.baseline:
            from pytest_memleak.baseline import compare_record

            record["baseline"] = compare_record(outputs.baseline, record, outputs.fail_over)
        return record

    def write_reports(self) -> None:
        """Write every report that was asked for."""
        self._written = write_reports(self.record(), self.options.outputs, self._root)


def _sensors() -> list[str]:
    import psutil

    heap = ["C heap"] if hasattr(psutil, "heap_info") else []
    blocks = ["Python blocks"] if sys.getallocatedblocks() else []
    return ["RSS", *heap, *blocks]
