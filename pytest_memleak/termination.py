"""A session that is told to end writes its report first."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

import pytest


def interrupt_on_sigterm(config: pytest.Config) -> None:
    """Let SIGTERM, as a cancelled CI job gets it, end the session like Ctrl-C does, until `config` is done.

    By default it ends the process on the spot: no fixture is torn down and no report written. A handler that
    somebody else has set stays.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            if not callable(signal.getsignal(signal.SIGINT)):  # ignored, as in a shell's background job
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)
        else:  # a child that was forked: multiprocessing ends its processes by this signal
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def restore() -> None:
        if signal.getsignal(signal.SIGTERM) is interrupt:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, interrupt)
    config.add_cleanup(restore)
