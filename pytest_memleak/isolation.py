"""The hooks of isolation, on both sides: of the session that starts a fresh process, and in that process.

Cheap to import: every pytest run does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_memleak.checked import CheckedTest
    from pytest_memleak.exchange import Exchange
    from pytest_memleak.isolate import IsolatedTest

VARIABLE = "PYTEST_MEMLEAK_ISOLATED"
"""The environment variable that tells a fresh process its folder."""

ISOLATED: pytest.StashKey[IsolatedTest] = pytest.StashKey()

_PLUGIN = "memleak_isolated"
_WORKER_ARGUMENTS = "memleak_arguments"

_REPORT_FILES = ("xmlpath", "report_log", "htmlpath", "json_report_file", "csv_path", "pastebin", "resultlog")
"""Options by which plugins write a file at the end of the session: that is for the session that started this one."""
_REMEMBERING = ("lfplugin", "nfplugin", "stepwiseplugin")
"""They would write the outcome of this one test into the cache as if it were the whole run."""


class Isolating:
    """The hooks of a session whose tests may run in fresh processes.

    Args:
        config: of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        if isolated := item.stash.get(ISOLATED, None):
            isolated.teardown()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        isolated = item.stash.get(ISOLATED, None)
        return isolated.attach(report) if isolated else report

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        # A worker of pytest-xdist does not know what pytest was started with.
        node.workerinput[_WORKER_ARGUMENTS] = arguments(self._config)


def start_isolated(checked: CheckedTest, keep: Callable[[dict[str, Any]], None]) -> None:
    """Start a checked test in a fresh process.

    Args:
        checked: the test.
        keep: takes its entry of the record when the process cannot tell it itself.
    """
    from pytest_memleak.isolate import IsolatedTest

    isolated = checked.item.stash[ISOLATED] = IsolatedTest(checked, keep)
    isolated.setup()


def arguments(config: pytest.Config) -> list[str]:
    """What pytest was started with."""
    told: list[str] | None = getattr(config, "workerinput", {}).get(_WORKER_ARGUMENTS)
    return told or [os.fspath(argument) for argument in config.invocation_params.args]


def enter_isolation(config: pytest.Config) -> None:
    """Make this the session of one test, when another session started it for that."""
    # Taken out: a pytest that the test itself starts is another matter.
    if folder := os.environ.pop(VARIABLE, None):
        from pathlib import Path

        from pytest_memleak.exchange import Exchange

        config.pluginmanager.register(Isolated(config, Exchange(Path(folder))), _PLUGIN)


def exchange_of(config: pytest.Config) -> Exchange | None:
    """The exchange with the session that started this process, None in an ordinary session."""
    isolated: Isolated | None = config.pluginmanager.getplugin(_PLUGIN)
    return isolated.exchange if isolated else None


class Isolated:
    """The hooks of the fresh process.

    Args:
        config: of this session.
        exchange: with the session that started it.
    """

    def __init__(self, config: pytest.Config, exchange: Exchange) -> None:
        self.exchange = exchange
        self._order = exchange.read_order()
        self._config = config

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Before other plugins look at their options."""
        option = config.option
        for name in _REPORT_FILES:
            if getattr(option, name, None):
                setattr(option, name, None)
        option.log_file_mode = "a"
        if hasattr(option, "numprocesses"):
            option.numprocesses, option.dist, option.tx = None, "no", []
        if option.basetemp:
            # An existing one would be emptied.
            option.basetemp = os.path.join(option.basetemp, f"isolated-{os.getpid()}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """After all plugins are there."""
        config = session.config
        unwanted = [*_REMEMBERING, *(["terminalreporter"] if config.option.capture == "no" else [])]
        for name in unwanted:
            if config.pluginmanager.hasplugin(name):
                config.pluginmanager.unregister(name=name)
        if self._order["argument"]:
            config.args[:] = [self._order["argument"]]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid == self._order["nodeid"]]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test that is run again is reported once, with its last outcome.
        if str(report.outcome) != "rerun":
            data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
            self.exchange.add_report(data)
