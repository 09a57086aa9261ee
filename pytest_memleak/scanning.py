"""A scan inside pytest: one checked item for each operation of an app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Sequence
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any, NoReturn

import pytest

from pytest_memleak.checked import CheckedItem, CheckedTest
from pytest_memleak.drive.app import DriveError, resolve_app
from pytest_memleak.drive.generate import NEEDS_SCHEMATHESIS, requests_for
from pytest_memleak.drive.iterate import Drive, NotMeasured
from pytest_memleak.drive.scan import ScanOperation, ScanTraffic, find_operations
from pytest_memleak.fixtures import make_root_importable
from pytest_memleak.options import Options
from pytest_memleak.scan_options import ScanOptions
from pytest_memleak.settings import make_settings
from pytest_memleak.simtime import SimulatedLoop

PREFIX = "scan::"
"""What the ids of scanned operations begin with; as an argument of pytest it selects all of them."""


def run_scan(app: str, arguments: Sequence[str] = ()) -> int:
    """Scan an app without any test: `python -m pytest_memleak scan APP`.

    Args:
        app: the import string.
        arguments: further arguments of pytest.

    Returns:
        the exit code of pytest.
    """
    # What pytest and pytest-asyncio warn of where there is no configuration is nothing that the user could mend.
    quiet = ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    quiet += ["-o", "asyncio_default_fixture_loop_scope=function"]
    return int(pytest.main(["--memcheck", "--memcheck-scan", app, PREFIX, *quiet, *arguments]))


class Scanning:
    """The hooks of a run that scans.

    Args:
        config: of the session.
        options: what was asked for.
    """

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.options = options
        self._selected: set[str] = set()
        make_root_importable(config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """An app that is no app is a mistake on the command line, said in one sentence before anything starts."""
        scan = self.options.scan
        if scan is None or not scan.by_flag or hasattr(session.config, "workerinput"):
            return
        try:
            resolve_app(scan.app)
        except DriveError as error:
            raise pytest.UsageError(f"--memcheck-scan: {error}") from None
        except Exception:
            return  # collection meets it again, and shows where it comes from

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, object, object]:
        # The ids of operations are no paths; not earlier, because xdist hands the arguments to its workers.
        config = session.config
        self._selected = {argument for argument in config.args if argument.startswith(PREFIX)}
        config.args = [argument for argument in config.args if argument not in self._selected]
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if isinstance(collector, pytest.Session) and report.passed and self._is_wanted(collector.config):
            report.result.append(ScannedApp.from_parent(collector, name="scan", nodeid="scan", scanning=self))
        return report

    def _is_wanted(self, config: pytest.Config) -> bool:
        """A scan from the configuration stays out of a run that names its tests."""
        assert self.options.scan is not None
        named = config.args_source is pytest.Config.ArgsSource.ARGS and bool(config.args)
        return bool(self._selected) or self.options.scan.by_flag or not named

    def selects(self, nodeid: str) -> bool:
        """Whether the arguments of pytest select this operation."""
        return not self._selected or PREFIX in self._selected or nodeid in self._selected


class ScannedApp(pytest.Collector):
    """The app of a scan; collects one item for each of its operations."""

    def __init__(self, *, scanning: Scanning, **given: Any) -> None:
        super().__init__(**given)
        self.scanning = scanning

    def collect(self) -> Iterable[pytest.Item]:
        """One item for each operation that is not excluded.

        Raises:
            pytest.Collector.CollectError: when there is no app, it has no operations, or schemathesis is missing.
        """
        scan = self.scanning.options.scan
        assert scan is not None
        try:
            found = asyncio.run(find_operations(resolve_app(scan.app)))
        except DriveError as error:
            raise self.CollectError(str(error)) from None
        if not found:
            raise self.CollectError(
                f"the app {scan.app!r} has nothing to scan: it serves no OpenAPI document and has no routes; "
                "write a test for it, see README.md"
            )
        for operation in found:
            nodeid = f"{PREFIX}{operation.name}"
            if _is_included(operation, scan) and self.scanning.selects(nodeid):
                if operation.document is not None and find_spec("schemathesis") is None:
                    raise self.CollectError(f"{scan.app!r} has an OpenAPI document; {NEEDS_SCHEMATHESIS}")
                yield ScannedItem.from_parent(
                    self, name=operation.name, nodeid=nodeid, scanning=self.scanning, operation=operation
                )


def _is_included(operation: ScanOperation, scan: ScanOptions) -> bool:
    def matches(pattern: str) -> bool:
        return fnmatchcase(operation.name, pattern) or fnmatchcase(operation.path, pattern)

    included = not scan.include or any(map(matches, scan.include))
    return included and not any(map(matches, scan.exclude))


class ScannedItem(CheckedItem):
    """One operation of a scanned app, checked as a marked test is."""

    def __init__(self, *, scanning: Scanning, operation: ScanOperation, **given: Any) -> None:
        super().__init__(**given)
        self._options = scanning.options
        self._operation = operation

    def make_check(self, keep: Callable[[dict[str, Any]], None]) -> CheckedTest:
        """Let the hook complete the operation, and make its check."""
        scan, operation = self._options.scan, self._operation
        assert scan is not None
        drive = Drive(scan.app, owns_loop=True)
        try:
            operation.app = drive.app.app
        except DriveError as error:
            pytest.fail(f"{self.nodeid}: {error}", pytrace=False)
        operation.headers.update(scan.headers)
        operation.parameters.update(scan.parameters)
        self.config.hook.pytest_memleak_scan_operation(operation=operation)
        if operation.skip:
            pytest.skip(operation.skip)
        settings = make_settings({**self._options.values, **operation.settings})
        self._checked = CheckedTest(self, settings, drive, keep, self._options.outputs)
        return self._checked

    def setup(self) -> None:
        """Make the requests before anything is measured."""
        assert self._options.scan is not None
        try:
            requests = requests_for(self._operation)
        except DriveError as error:
            pytest.fail(f"{self.nodeid}: {error}", pytrace=False)
        self._traffic = ScanTraffic(self._checked.drive, self._operation, requests, self._options.scan.requests)

    def runtest(self) -> None:
        """Run the whole check on a loop of its own."""
        __tracebackhide__ = True
        loop_factory = SimulatedLoop if self._checked.settings.simulate_time else None
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            try:
                runner.run(self._checked.repeated(self._traffic.iteration)())
            except NotMeasured as error:
                _skip(error)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where reports say the item is: it has no file, so the root directory."""
        return self.config.rootpath, None, self.nodeid


def _skip(error: NotMeasured) -> NoReturn:
    __tracebackhide__ = True
    pytest.skip(f"not measured: {error}")
