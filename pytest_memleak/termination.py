"""A session that is told to end writes its report first."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

import pytest


def interrupt_on_sigterm(config: pytest.Config) -> None:
    """Let SIGTERM, as a cancelled CI job gets it, end the session like Ctrl-C does, until `config` is done.

    By default it ends the process on the spot: no fixture is torn down and no report written. A handler that
    somebody else has set stays.
    """
    if threading.current_thread() is threading.main_thread():
        handler = _interrupting(os.getpid())
        _guard_forks(handler)
        handling = _Handling(handler)
        handling.pytest_runtest_logfinish()
        config.pluginmanager.register(handling)
        config.add_cleanup(handling.end)


class _Handling:
    """Keeps a handler of SIGTERM in place.

    Args:
        handler: of the signal.
    """

    def __init__(self, handler: Callable[[int, FrameType | None], None]) -> None:
        self._handler = handler

    def pytest_runtest_logfinish(self) -> None:
        """Set the handler where there is none: an event loop that an app asked for SIGTERM leaves none behind."""
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handler)

    def end(self) -> None:
        """Leave the signal as it was."""
        if signal.getsignal(signal.SIGTERM) is self._handler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupting(owner: int) -> Callable[[int, FrameType | None], None]:
    """The handler that interrupts the process `owner`."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            if not callable(signal.getsignal(signal.SIGINT)):  # ignored, as in a shell's background job
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)
        else:  # a child that was forked: multiprocessing ends its processes by this signal
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    return interrupt


def _guard_forks(handler: object) -> None:
    """Let a child that is forked while `handler` is set end by SIGTERM from its first moment on.

    A signal that arrives while Python starts the child is forgotten when a handler is set: multiprocessing's
    `terminate` right after `start` would have no effect.
    """
    if not hasattr(os, "register_at_fork"):
        return
    masks: list[set[int]] = []

    def before() -> None:
        if signal.getsignal(signal.SIGTERM) is handler:
            masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})))

    def in_parent() -> None:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    def in_child() -> None:
        if masks:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
