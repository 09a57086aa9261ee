"""The fresh process: runs its one test, hands over the reports, and writes no files of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_memleak.exchange import VARIABLE, Exchange

PLUGIN = "memleak_isolated"

_REPORT_FILES = ("xmlpath", "report_log", "htmlpath", "json_report_file", "csv_path", "pastebin", "resultlog")
"""Options by which plugins write a file at the end of the session: that is for the session that started this one."""
_REMEMBERING = ("lfplugin", "nfplugin", "stepwiseplugin")
"""They would write the outcome of this one test into the cache as if it were the whole run."""


def enter_isolation(config: pytest.Config) -> None:
    """Make this the session of one test, when another session started it for that."""
    # Taken out: a pytest that the test itself starts is another matter.
    if folder := os.environ.pop(VARIABLE, None):
        config.pluginmanager.register(Isolated(config, Exchange(Path(folder))), PLUGIN)


def exchange_of(config: pytest.Config) -> Exchange | None:
    """The exchange with the session that started this process, None in an ordinary session."""
    isolated: Isolated | None = config.pluginmanager.getplugin(PLUGIN)
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
            option.basetemp = str(Path(option.basetemp) / f"isolated-{os.getpid()}")

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
