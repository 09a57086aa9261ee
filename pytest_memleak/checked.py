"""One checked test inside pytest: its body becomes the iteration, its verdict the outcome of the call phase."""

from __future__ import annotations

import asyncio
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
from pytest_memleak.baseline import judged
from pytest_memleak.capture import PytestRecordings
from pytest_memleak.drive.app import DriveError
from pytest_memleak.drive.iterate import Drive, NotMeasured
from pytest_memleak.isolation import exchange_of
from pytest_memleak.options import Options, item_settings
from pytest_memleak.outputs import Outputs
from pytest_memleak.progress import ProgressLine
from pytest_memleak.reasons import in_one_line, reason_of
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


class CheckedItem(pytest.Item):
    """An item that is checked although no test function stands for it."""

    def make_check(self, keep: Callable[[dict[str, Any]], None]) -> CheckedTest:
        """Its check.

        Args:
            keep: takes the entry of the record as soon as it is known.

        Raises:
            SettingsError: for a setting that cannot be used.
        """
        raise NotImplementedError


def make_checked(item: pytest.Item, options: Options, keep: Callable[[dict[str, Any]], None]) -> CheckedTest | None:
    """The check of a test that is marked (or of any, with --memcheck-all), None where there is none to do.

    Args:
        item: the test.
        options: of the session.
        keep: takes the entry of the record as soon as it is known.

    Raises:
        SettingsError: for a marker argument that cannot be used, or a marked test that cannot be repeated.
    """
    if isinstance(item, CheckedItem):
        return item.make_check(keep)
    marked = item.get_closest_marker("memleak") is not None
    if not (marked or options.check_all):
        return None
    settings = item_settings(item, options)
    problem = why_not_repeatable(item)
    if problem is None:
        assert isinstance(item, pytest.Function)
        return CheckedTest(item, settings, Drive(), keep, options.outputs)
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


def show_in_page(report: pytest.TestReport, entry: dict[str, Any], config: pytest.Config) -> None:
    """Show the test's part of the HTML report in pytest-html's page, where it writes one."""
    if getattr(config.option, "htmlpath", None):
        from pytest_html import extras

        from pytest_memleak.report import html

        report.__dict__["extras"] = [*getattr(report, "extras", ()), extras.html(html.fragment(entry))]


def keep_verdict(
    item: pytest.Item, verdict: Verdict, record: Callable[[dict[str, Any]], None], *, all_samples: bool = False
) -> dict[str, Any]:
    """Put a verdict where the reports find it: properties, a section of the test, the session's record.

    Returns:
        its entry in the record.
    """
    entry = verdict.as_dict(item.nodeid, root=str(item.config.rootpath), all_samples=all_samples)
    record(entry)
    properties = item.user_properties
    # A rerun of the same test replaces what it said before.
    properties[:] = [pair for pair in properties if not pair[0].startswith(junit.PREFIX)]
    properties += junit.properties(entry)
    if verdict.outcome != "passed":
        item.add_report_section("call", "memleak", text.section(entry))
    return entry


class CheckedTest:
    """A test that is checked for leaks.

    Args:
        item: the test.
        settings: what to check against.
        drive: its app and traffic.
        keep: takes the entry of the record as soon as it is known.
        outputs: the reports to write, and the baseline to compare with.
    """

    def __init__(
        self,
        item: pytest.Item,
        settings: Settings,
        drive: Drive,
        keep: Callable[[dict[str, Any]], None],
        outputs: Outputs,
    ) -> None:
        self.item = item
        self.settings = settings
        self.drive = drive
        self._record = keep
        self._outputs = outputs
        self._entry: dict[str, Any] | None = None
        self._attached: dict[str, Any] | None = None
        self._task: asyncio.Task[Any] | None = None

    def repeated(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """The function that takes the place of the test function and runs the whole check."""
        if inspect.iscoroutinefunction(body):

            @functools.wraps(body)
            async def check_async(*args: Any, **kwargs: Any) -> None:
                __tracebackhide__ = True
                self._task = asyncio.current_task()
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
        if self._outputs.baseline:
            verdict = judged(verdict, self.item.nodeid, self._outputs.baseline, self._outputs.fail_over)
        entry = self._keep(verdict)
        if self.settings.fails_test(verdict.outcome):
            pytest.fail(text.failure_text(entry), pytrace=False)

    def unwind(self, error: BaseException) -> None:
        """End a check that was torn out of its loop, so that clocks and classes are real again before the next test.

        A signal's handler that raises (pytest-timeout's) and a loop that was stopped leave the task of the test
        behind, suspended in the middle.
        """
        task, self._task = self._task, None
        if task is None or task.done():
            return
        loop = task.get_loop()
        if not (loop.is_running() or loop.is_closed()):
            task.cancel(error)
            with contextlib.suppress(BaseException):  # the one that tore it out is on its way already
                loop.run_until_complete(task)

    def interrupt_setup(self, error: BaseException) -> None:
        """Keep what ended the session before the check began."""
        said = f"{in_one_line(error)} (in the test's setup)"
        self._keep(Verdict(outcome="error", message=said, settings=self.settings))

    def attach(self, report: pytest.TestReport) -> None:
        """Send the entry along with the test's report, also across processes."""
        if report.when == "setup":
            # The last word when the process dies in the middle of the test.
            said = "the process that ran the test ended in the middle of it"
            if report.failed:
                said = f"setup failed: {reason_of(report).removeprefix(f'{self.item.nodeid}: ')}"
            verdict = Verdict(outcome="error", message=said, settings=self.settings)
            if report.failed:
                self._keep(verdict)
            elif report.passed:
                report.__dict__["memleak"] = {**verdict.as_dict(self.item.nodeid), "iterations": None}
        if self._entry is not None and self._entry is not self._attached:
            report.__dict__["memleak"] = self._attached = self._entry
            show_in_page(report, self._entry, self.item.config)

    def _keep(self, verdict: Verdict) -> dict[str, Any]:
        all_samples = self._outputs.json_path is not None
        self._entry = keep_verdict(self.item, verdict, self._record, all_samples=all_samples)
        return self._entry

    @contextlib.contextmanager
    def _surroundings(self) -> Iterator[Surroundings]:
        config, line = self.item.config, self._progress_line()
        exchange = exchange_of(config)
        journal = exchange.open_journal() if exchange else None
        probes = itertools.chain.from_iterable(config.hook.pytest_memleak_client_probes(config=config))
        try:
            yield Surroundings(
                root=str(config.rootpath),
                probes=tuple(probes),
                watchers=(PytestRecordings(), line) if line else (PytestRecordings(),),
                catch_warnings="recwarn" not in getattr(self.item, "fixturenames", ()),
                journal=journal,
            )
        finally:
            if journal:
                journal.close()
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


@contextlib.contextmanager
def in_place_of_body(item: pytest.Function, checked: CheckedTest | None, drive: Drive) -> Iterator[None]:
    """Run the whole check, or the plain test and its app, where pytest calls the test function."""
    body = item.obj
    item.obj = checked.repeated(body) if checked else stopping_app(drive, body)
    try:
        yield
    except BaseException as error:
        if checked:
            checked.unwind(error)
        raise
    finally:
        item.obj = body


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
            except BaseException:
                with contextlib.suppress(DriveError):  # what went wrong first is what is reported
                    await drive.stop()
                raise
            await drive.stop()
        except DriveError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None

    return once


def _skipped(verdict: Verdict, error: BaseException) -> Verdict:
    """A test that skips itself in an iteration is no error, nor is a scanned operation that only fails."""
    if isinstance(error, NotMeasured):
        return replace(verdict, outcome="not_measured", message=str(error))
    if isinstance(error, pytest.skip.Exception):
        return replace(verdict, outcome="not_measured", message=f"skipped by the test: {error}")
    return verdict
