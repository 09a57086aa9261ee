"""The hooks of isolation, on both sides: of the session that starts a fresh process, and in that process.

Cheap to import: every pytest run does.
"""

from __future__ import annotations

import os
import signal
import sys
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
_REPEATING = ("rerunfailures",)
"""The session that started this one runs the test again, each time in a fresh process."""
_PR_SET_PDEATHSIG = 1


class Isolating:
    """The hooks of a session whose tests may run in fresh processes.

    Args:
        config: of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        # Around pytest's own, which must run also when the process has died: the next test relies on it.
        try:
            return (yield)
        finally:
            if isolated := item.stash.get(ISOLATED, None):
                isolated.teardown()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        isolated = item.stash.get(ISOLATED, None)
        return isolated.attach(report, call) if isolated else report

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item) -> bool | None:
        # The fresh process has pytest-timeout's timer; here it would count the start of the process as well, and
        # its thread method would end the whole session.
        return True if ISOLATED in item.stash else None

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

        exchange = Exchange(Path(folder))
        _end_with(int(exchange.read_order()["parent"]))
        config.pluginmanager.register(Isolated(config, exchange), _PLUGIN)


def _end_with(parent: int) -> None:
    """Let the kernel end this process when the one that started it has gone: nobody would read its result."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it was gone before
            os._exit(pytest.ExitCode.INTERRUPTED)


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
            os.makedirs(option.basetemp, exist_ok=True)
            option.basetemp = os.path.join(option.basetemp, f"isolated-{os.getpid()}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """After all plugins are there."""
        config = session.config
        unwanted = [*_REMEMBERING, *_REPEATING, *(["terminalreporter"] if config.option.capture == "no" else [])]
        for name in unwanted:
            if config.pluginmanager.hasplugin(name):
                config.pluginmanager.unregister(name=name)
        if self._order["argument"]:
            config.args[:] = [self._order["argument"]]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid == self._order["nodeid"]]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self.exchange.add_report(data)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if isinstance(excinfo.value, pytest.exit.Exception):
            self.exchange.ask_to_exit(excinfo.value.msg, excinfo.value.returncode)
