"""The live line on a terminal: which test, which iteration, the simulated hour, the rate so far."""

from __future__ import annotations

from collections.abc import Callable

from pytest_memleak.settings import Settings
from pytest_memleak.simtime import real_perf_counter
from pytest_memleak.units import format_bytes

_EVERY_S = 0.2
_LINE_BELOW = "\x1bD\x1b[A"
"""Scrolls when the cursor is on the last line, and keeps its column: pytest goes on writing there."""
_SAVE, _RESTORE, _CLEAR_TO_END = "\x1b7", "\x1b8", "\x1b[K"


class ProgressLine:
    """Draws below the cursor and takes itself away; pytest's own line stays as it is.

    Args:
        write: writes to the terminal, past pytest's capture.
        width: columns of the terminal.
        name: the test.
        settings: of the check.
    """

    def __init__(self, write: Callable[[str], None], width: int, name: str, settings: Settings) -> None:
        self._write = write
        self._width = width
        self._name = name
        self._settings = settings
        self._next = 0.0
        self._drawn = False

    def before_iteration(self) -> None:
        """Nothing."""

    def after_iteration(self, done: int, bytes_per_iteration: float) -> None:
        """Redraw, at most five times a second."""
        now = real_perf_counter()
        if now < self._next:
            return
        self._next = now + _EVERY_S
        text = self.text(done, bytes_per_iteration)[: self._width - 1]
        room = "" if self._drawn else _LINE_BELOW
        self._drawn = True
        self._write(f"{room}{_SAVE}\r\n{text}{_CLEAR_TO_END}{_RESTORE}")

    def text(self, done: int, bytes_per_iteration: float) -> str:
        """The line for a state of the run."""
        settings = self._settings
        hours = done * settings.step_s / 3600
        rate = format_bytes(bytes_per_iteration * 86_400 / settings.step_s)
        return (
            f"memleak: {self._name}  iteration {done:,}/{settings.last_look:,}  simulated {hours:.1f} h  "
            f"{rate}/24h so far"
        )

    def close(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._write(f"{_SAVE}\r\n{_CLEAR_TO_END}{_RESTORE}")
