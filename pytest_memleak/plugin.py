"""The pytest hooks, each one call deep.

This module is imported by every pytest run of every project that has the plugin installed: what a check
needs (httpx, psutil, tabulate, …) is imported when a check really runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_memleak import hookspecs
from pytest_memleak.fixtures import DRIVE, memleak, memleak_app, memleak_client
from pytest_memleak.isolation import Isolating, enter_isolation, exchange_of, start_isolated
from pytest_memleak.options import MARKER, add_options, read_options
from pytest_memleak.termination import interrupt_on_sigterm

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from pytest_memleak.checked import CheckedTest
    from pytest_memleak.options import Options

__all__ = ["memleak", "memleak_app", "memleak_client"]

ACTIVE: pytest.StashKey[Checking] = pytest.StashKey()
CHECKED: pytest.StashKey[CheckedTest] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # Before conftest files and the app capture the functions of the time module.
    given = early_config.known_args_namespace
    if getattr(given, "memcheck", None) or getattr(given, "memcheck_all", None):
        enter_isolation(early_config)
        _simulate_time(early_config)


def _simulate_time(config: pytest.Config) -> None:
    from pytest_memleak import simtime

    simtime.install()
    config.add_cleanup(simtime.uninstall)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    options = read_options(config)
    if options is not None:
        _simulate_time(config)
        checking = config.stash[ACTIVE] = Checking(config, options)
        config.pluginmanager.register(checking, "memleak_checking")
        config.pluginmanager.register(Isolating(config))
        if options.scan:
            from pytest_memleak.scanning import Scanning

            config.pluginmanager.register(Scanning(config, options), "memleak_scanning")
        if not checking.reports_elsewhere:
            interrupt_on_sigterm(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> Generator[None, object, object]:
    # Later is too late: pytest-asyncio replaces the item while it is made.
    if inspect.iscoroutinefunction(obj) and collector.config.pluginmanager.hasplugin("asyncio"):
        checking = collector.config.stash.get(ACTIVE, None)
        marks = {mark.name for mark in (*getattr(obj, "pytestmark", ()), *collector.iter_markers())}
        wanted = "memleak" in marks or (checking is not None and checking.options.check_all)
        if wanted and not marks & {"asyncio", "anyio", "trio"}:
            pytest.mark.asyncio(obj)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    # With checking on, the drive is made with the checked test.
    if CHECKED not in item.stash and {"memleak", "memleak_client"} & set(getattr(item, "fixturenames", ())):
        from pytest_memleak.drive.iterate import Drive

        item.stash[DRIVE] = Drive()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    if DRIVE not in item.stash or not isinstance(item, pytest.Function):
        return (yield)
    from pytest_memleak.checked import in_place_of_body

    with in_place_of_body(item, item.stash.get(CHECKED, None), item.stash[DRIVE]):
        return (yield)


class Checking:
    """The hooks of a run with --memcheck.

    Args:
        config: of the session.
        options: what was asked for.
    """

    def __init__(self, config: pytest.Config, options: Options) -> None:
        from pytest_memleak.session import Gathered

        self.config = config
        self.options = options
        self.gathered = Gathered(options, config.rootpath)

    @property
    def _isolated(self) -> bool:
        return exchange_of(self.config) is not None

    @property
    def reports_elsewhere(self) -> bool:
        """Whether another process gathers the results and writes the reports."""
        return self._isolated or hasattr(self.config, "workerinput")

    def pytest_report_header(self) -> str:
        return self.gathered.header()

    # Two implementations: where one exists and none answers, every async test errors at collection.
    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_asyncio_loop_factories(self, item: pytest.Item) -> dict[str, Callable[[], AbstractEventLoop]] | None:
        from pytest_memleak.checked import wants_simulated_loop
        from pytest_memleak.simtime import SimulatedLoop

        return {"simulated": SimulatedLoop} if wants_simulated_loop(item, self.options) else None

    @pytest.hookimpl(trylast=True, optionalhook=True, specname="pytest_asyncio_loop_factories")
    def pytest_stock_loop_factory(self) -> dict[str, Callable[[], AbstractEventLoop]]:
        from asyncio import new_event_loop

        return {"asyncio": new_event_loop}

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        value = yield
        if fixturedef.argname == "anyio_backend" and value == "asyncio":
            from pytest_memleak.simtime import SimulatedLoop

            # anyio's plugin makes the loop of its own tests; until a clock is entered this one is like the stock loop.
            value = ("asyncio", {"loop_factory": SimulatedLoop})
            _, key, _ = fixturedef.cached_result or (None, None, None)
            fixturedef.cached_result = (value, key, None)
        return value

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        from pytest_memleak.checked import make_checked
        from pytest_memleak.settings import SettingsError

        try:
            checked = make_checked(item, self.options, self.gathered.add)
        except SettingsError as error:
            raise pytest.fail.Exception(f"{item.nodeid}: {error}", pytrace=False) from None
        if checked is None:
            return (yield)
        if checked.settings.isolate and not self._isolated:
            start_isolated(checked, self.gathered.add)
            return (yield)
        item.stash[CHECKED] = checked
        item.stash[DRIVE] = checked.drive
        try:
            return (yield)
        except (KeyboardInterrupt, pytest.exit.Exception) as error:  # pytest makes no report of these
            checked.interrupt_setup(error)
            raise

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        from pytest_memleak.checked import why_not_repeatable

        report = yield
        if checked := item.stash.get(CHECKED, None):
            checked.attach(report)
        elif self.options.check_all and report.when == "call":
            report.__dict__["memleak_not_checked"] = why_not_repeatable(item)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not self.reports_elsewhere:
            self.gathered.take(report)  # from a worker's test, too

    def pytest_sessionfinish(self) -> None:
        if not self.reports_elsewhere:
            self.gathered.write_reports()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        self.gathered.summarize(terminalreporter)
