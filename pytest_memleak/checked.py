"""One checked test inside pytest: its body becomes the iteration, its verdict the outcome of the call phase."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import sys
import unittest
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from pytest_memleak.api import run_without_loop
from pytest_memleak.capture import PytestRecordings
from pytest_memleak.drive.app import DriveError
from pytest_memleak.drive.iterate import Drive, NotMeasured
from pytest_memleak.options import Options, item_settings
from pytest_memleak.progress import ProgressLine
from pytest_memleak.report import junit, text
from pytest_memleak.run import LeakRun, Surroundings
from pytest_memleak.settings import Settings, SettingsError
from pytest_memleak.verdict import Verdict


def why_not_repeatable(item: pytest.Item) -> str | None:
    """Why the body of this test cannot be one iteration of many, or None when it can."""
    if not isinstance(item, pytest.Function):
        return f"a {type(item).__name__} is not a test function"
    if getattr(item.obj, "is_hypothesis_test", False) or hasattr(item.obj, "hypothesis"):
        return "a @given test chooses its own repetitions"
    if item.cls is not None and issubclass(item.cls, unittest.TestCase):
        return "a unittest.TestCase method is set up for one run"
    return None


def make_checked(item: pytest.Item, options: Options, keep: Callable[[dict[str, Any]], None]) -> CheckedTest | None:
    """The check of a test that is marked (or of any, with --memcheck-all), None where there is none to do.

    Args:
        item: the test.
        options: of the session.
        keep: takes the entry of the record as soon as it is known.

    Raises:
        SettingsError: for a marker argument that cannot be used, or a marked test that cannot be repeated.
    """
    marked = item.get_closest_marker("memleak") is not None
    if not (marked or options.check_all):
        return None
    settings = item_settings(item, options)
    problem = why_not_repeatable(item)
    if problem is None:
        assert isinstance(item, pytest.Function)
        return CheckedTest(item, settings, Drive(), keep)
    if marked:
        raise SettingsError(f"the test cannot be checked for leaks: {problem}; write it as a plain test function")
    return None


def wants_simulated_loop(item: pytest.Item, options: Options) -> bool:
    """Whether this test is to run on the simulated loop."""
    if not (options.check_all or item.get_closest_marker("memleak")):
        return False
    try:
        return item_settings(item, options).simulate_time
    except SettingsError:  # said in the test's setup
        return False


class CheckedTest:
    """A test that is checked for leaks.

    Args:
        item: the test.
        settings: what to check against.
        drive: its app and traffic.
        keep: takes the entry of the record as soon as it is known.
    """

    def __init__(
        self, item: pytest.Item, settings: Settings, drive: Drive, keep: Callable[[dict[str, Any]], None]
    ) -> None:
        self.item = item
        self.settings = settings
        self.drive = drive
        self._record = keep
        self._entry: dict[str, Any] | None = None

    def repeated(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """The function that takes the place of the test function and runs the whole check."""
        if inspect.iscoroutinefunction(body):

            @functools.wraps(body)
            async def check_async(*args: Any, **kwargs: Any) -> None:
                __tracebackhide__ = True
                await self._check(functools.partial(body, *args, **kwargs))

            return check_async

        @functools.wraps(body)
        def check(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True

            async def once() -> None:
                __tracebackhide__ = True
                result = body(*args, **kwargs)
                if inspect.iscoroutine(result):  # a decorator hides the `async def`: nothing would run
                    result.close()
                    pytest.fail(
                        "the test returned a coroutine that nobody awaits; let its decorator return an `async def`",
                        pytrace=False,
                    )

            run_without_loop(self._check(once))

        return check

    async def _check(self, body: Callable[[], Any]) -> None:
        __tracebackhide__ = True
        with self._surroundings() as around:
            run = LeakRun(self.settings, self.drive, around)
            try:
                verdict = await run.check(body)
            except BaseException as error:
                if run.verdict is not None:
                    self._keep(_skipped(run.verdict, error))
                raise
        entry = self._keep(verdict)
        if self.settings.fails_test(verdict.outcome):
            pytest.fail(text.failure_text(entry), pytrace=False)

    def attach(self, report: pytest.TestReport) -> None:
        """Send the entry along with the test's report, also across processes."""
        if report.when == "setup" and report.failed:
            # Started, and measured nothing.
            reason = report.longreprtext.strip().rpartition("\n")[2].removeprefix(f"{self.item.nodeid}: ")
            self._keep(Verdict(outcome="error", message=f"setup failed: {reason}", settings=self.settings))
        if self._entry is not None and (report.when == "call" or report.failed):
            report.__dict__["memleak"] = self._entry

    def _keep(self, verdict: Verdict) -> dict[str, Any]:
        """Put the verdict where the reports find it: properties, a section of the test, the session's record."""
        entry = self._entry = verdict.as_dict(self.item.nodeid, root=str(self.item.config.rootpath))
        self._record(entry)
        properties = self.item.user_properties
        # A rerun of the same test replaces what it said before.
        properties[:] = [pair for pair in properties if not pair[0].startswith(junit.PREFIX)]
        properties += junit.properties(entry)
        if verdict.outcome != "passed":
            self.item.add_report_section("call", "memleak", text.section(entry))
        return entry

    @contextlib.contextmanager
    def _surroundings(self) -> Iterator[Surroundings]:
        config, line = self.item.config, self._progress_line()
        probes = itertools.chain.from_iterable(config.hook.pytest_memleak_client_probes(config=config))
        try:
            yield Surroundings(
                root=str(config.rootpath),
                probes=tuple(probes),
                watchers=(PytestRecordings(), line) if line else (PytestRecordings(),),
                catch_warnings="recwarn" not in getattr(self.item, "fixturenames", ()),
            )
        finally:
            if line:
                line.close()

    def _progress_line(self) -> ProgressLine | None:
        config, terminal = self.item.config, sys.__stdout__
        reporter = config.pluginmanager.getplugin("terminalreporter")
        # Asked of pytest, because its capture has put a file in the terminal's place by now.
        if terminal is None or reporter is None or not reporter.isatty or config.get_verbosity() < 0:
            return None
        capture = config.pluginmanager.getplugin("capturemanager")

        def write(what: str) -> None:
            with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                terminal.write(what)
                terminal.flush()

        return ProgressLine(write, config.get_terminal_writer().fullwidth, self.item.name, self.settings)


def stopping_app(drive: Drive, body: Callable[..., Any]) -> Callable[..., Any]:
    """The test function of a plain run: once, with the app's lifespan stopped inside the call phase."""
    if not inspect.iscoroutinefunction(body):
        return body

    @functools.wraps(body)
    async def once(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        try:
            try:
                await body(*args, **kwargs)
            finally:
                await drive.stop()
        except DriveError as error:
            pytest.fail(str(error), pytrace=False)

    return once


def _skipped(verdict: Verdict, error: BaseException) -> Verdict:
    """A test that skips itself in an iteration is no error, nor is a scanned operation that only fails."""
    if isinstance(error, NotMeasured):
        return replace(verdict, outcome="not_measured", message=str(error))
    if isinstance(error, pytest.skip.Exception):
        return replace(verdict, outcome="not_measured", message=f"skipped by the test: {error}")
    return verdict
