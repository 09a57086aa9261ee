"""One test in a fresh process, its result brought back phase by phase as if it had run here."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_memleak.checked import CheckedTest, keep_verdict, show_in_page
from pytest_memleak.exchange import Exchange
from pytest_memleak.isolation import VARIABLE, arguments
from pytest_memleak.judge.memory import Readings
from pytest_memleak.judge.outcome import Measured, failed
from pytest_memleak.reasons import in_one_line
from pytest_memleak.sense.memory import memory_limit_bytes
from pytest_memleak.simtime import real_perf_counter

_LOOK_S = 0.02
_END_PATIENCE_S = 10.0
_LAST_LINES = 24
_OWN_COVERAGE = ("--cov-append", "--cov-report=", "--cov-fail-under=0")


class IsolatedTest:
    """A checked test that runs in a process of its own.

    Here its setup, call and teardown wait for those of that process, so that every hook, timeout and report
    has its place. Its fixtures are set up there only.

    Args:
        checked: the test and its settings.
        keep: takes the entry of the record when the process could not tell it itself.
    """

    def __init__(self, checked: CheckedTest, keep: Callable[[dict[str, Any]], None]) -> None:
        self.item = checked.item
        self._settings = checked.settings
        self._record = keep
        self._folder = Path(tempfile.mkdtemp(prefix="memleak-"))
        self._exchange = Exchange(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._reports: dict[str, pytest.TestReport] = {}
        self._entry: dict[str, Any] | None = None
        self._began = real_perf_counter()

    def setup(self) -> None:
        """Start the process, and wait until the test is set up there."""
        item = self.item
        item.__dict__.update(setup=_nothing, runtest=self.call)
        # Fixtures of the module or session are set up there; this process has no use for them.
        _, colons, inside = item.nodeid.partition("::")
        argument = f"{item.path}{colons}{inside}" if item.path.is_file() else ""
        self._exchange.order(nodeid=item.nodeid, argument=argument, parent=str(os.getpid()))
        if item.config.pluginmanager.hasplugin("timeout"):
            item.ihook.pytest_timeout_cancel_timer(item=item)
        coverage = _OWN_COVERAGE if getattr(item.config.option, "cov_source", None) else ()
        uncaptured = item.config.getoption("capture") == "no"
        with self._exchange.output.open("wb") as output:
            self._process = subprocess.Popen(
                [*_interpreter(item.config.invocation_params.dir), "-m", "pytest", *arguments(item.config), *coverage],
                cwd=item.config.invocation_params.dir,
                env={**os.environ, VARIABLE: str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=None if uncaptured else output,
                stderr=None if uncaptured else output,
            )
        self._wait_for("setup")

    def call(self) -> None:
        """Wait until the test has run."""
        self._wait_for("call")

    def teardown(self) -> None:
        """Wait until the test is torn down and the process has ended."""
        try:
            if self._process is not None and self._entry is None:
                self._wait_for("teardown")
                with contextlib.suppress(subprocess.TimeoutExpired):  # a thread of the app that never ends
                    self._process.wait(_END_PATIENCE_S)
        finally:
            self._stop()
            shutil.rmtree(self._folder, ignore_errors=True)
            for name in ("setup", "runtest"):
                self.item.__dict__.pop(name, None)

    def attach(self, report: pytest.TestReport, call: pytest.CallInfo[Any]) -> pytest.TestReport:
        """The report of a phase as the process told it; the one made here when it could not."""
        brought = self._reports.get(report.when or "")
        # Not `report.failed`: here the test of a strict xfail ends without an exception, and so fails.
        if brought is not None and call.excinfo is None:
            # The fresh process writes no page; a verdict belongs to the call, as it does here.
            if brought.when == "call" and (entry := getattr(brought, "memleak", None)):
                show_in_page(brought, entry, self.item.config)
            return brought
        if self._entry is not None:
            report.__dict__["memleak"] = self._entry
        return report

    def _wait_for(self, phase: str) -> None:
        __tracebackhide__ = True
        process = self._process
        assert process is not None
        try:
            while phase not in self._reports:
                ended = process.poll() is not None
                self._take_reports()
                if phase not in self._reports:
                    if ended:
                        self._ended(process.returncode, phase)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_LOOK_S)
        except BaseException as error:
            # Ctrl-C, `pytest.exit`, …: the teardown need not come any more.
            if self._entry is None:
                self._stop()
                self._keep(in_one_line(error), phase)
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _take_reports(self) -> None:
        hook = self.item.config.hook
        for data in self._exchange.new_reports():
            report = hook.pytest_report_from_serializable(config=self.item.config, data=data)
            if report is not None:
                # JSON knows no tuples.
                report.user_properties = [(name, value) for name, value in report.user_properties]
                if isinstance(report.longrepr, list):
                    report.longrepr = tuple(report.longrepr)
                self._reports[report.when] = report

    def _ended(self, status: int, phase: str) -> None:
        """Fail the phase that the process did not live to report, or end the session as it asked for."""
        __tracebackhide__ = True
        if asked := self._exchange.asked_exit():
            pytest.exit(*asked)
        said = self._keep(_how_it_ended(status, self._exchange.last_output(_LAST_LINES)), phase)
        pytest.fail(f"error: {said}", pytrace=False)

    def _keep(self, reason: str, phase: str) -> str:
        """Keep the verdict of a test whose process was not there to tell it, or what happened after its verdict.

        Returns:
            what happened, and where.
        """
        measured = self._measured()
        where = f"in iteration {measured.iterations}" if phase == "call" else f"in the test's {phase}"
        said = f"{reason} ({where}; the test ran in a process of its own)"
        called = self._reports.get("call")
        if entry := getattr(called, "memleak", None):
            assert called is not None
            self.item.user_properties[:] = called.user_properties
            self._entry = {**entry, "notes": [*entry["notes"], said]}
            self._record(self._entry)
        else:
            self._entry = keep_verdict(self.item, failed(measured, said), self._record)
        if output := self._exchange.last_output(_LAST_LINES):
            self.item.add_report_section(phase, "output of the isolated process", output)
        return said

    def _measured(self) -> Measured:
        rss, vms, heap, blocks, requests = self._exchange.samples()
        took_s = real_perf_counter() - self._began
        return Measured(
            settings=self._settings,
            readings=Readings(
                rss_bytes=rss,
                vms_bytes=vms,
                heap_bytes=() if -1 in heap else heap,
                blocks=blocks,
                calibrations=(),
                requests=requests[-1] if requests else 0,
            ),
            requests_by_iteration=requests,
            requests=(requests[-1] or None) if requests else None,
            failed_requests=0,
            routes={},
            rss_peak_bytes=max(rss, default=None),
            memory_limit_bytes=self._settings.memory_limit_bytes or memory_limit_bytes(),
            real_s=took_s,
            total_s=took_s,
        )

    def _stop(self) -> None:
        """End the process, if it runs; first by a signal at which pytest prints where every thread is."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            if hasattr(signal, "SIGABRT") and os.name == "posix":
                process.send_signal(signal.SIGABRT)
                process.wait(2)
        process.kill()
        process.wait()


def _nothing() -> None:
    """Takes the place of the item's own setup."""


def _interpreter(folder: Path) -> list[str]:
    """The command of this interpreter with the options that change what code does, started in `folder`."""
    options = [f"-{'O' * sys.flags.optimize}"] if sys.flags.optimize else []
    if not {"", str(folder)} & set(sys.path):  # started as `pytest`: `-m` would put the folder before the libraries
        options.append("-P")
    options += [f"-W{warning}" for warning in sys.warnoptions]
    options += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    return [sys.executable, *options]


def _how_it_ended(status: int, output: str) -> str:
    not_there = status == pytest.ExitCode.USAGE_ERROR and "ERROR: not found: " in output
    if not_there or status == pytest.ExitCode.NO_TESTS_COLLECTED:
        return "the test was not collected there: its id must be the same in every process"
    if status >= 0:
        return f"the process ended with exit status {status} before the test was over"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"the process was killed by {name}{hint}"
