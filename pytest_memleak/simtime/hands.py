"""The hands of the simulated clock: wall clock, monotonic and perf_counter, moved together."""

from __future__ import annotations

import functools
import operator
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from . import rebind, shim
from .errors import FREEZEGUN, TRAVEL, SimulatedTimeError

_SECOND_NS = 1_000_000_000


class Hands:
    """Every clock the app can read, as integer nanoseconds since entering.

    Args:
        start: what the wall clock shows first, in any form time_machine.travel() takes; None is now.
    """

    def __init__(self, start: Any) -> None:
        self._start = start
        self._lock = threading.Lock()
        self.now_ns = 0

    def enter(self, sleep: Any) -> None:
        """Stop every clock and let `time.sleep` call `sleep`.

        Raises:
            SimulatedTimeError: freezegun or a time_machine.travel() is active.
        """
        import time_machine

        _check_freezegun("")
        if getattr(time_machine, "traveller_stack", None):
            raise SimulatedTimeError(TRAVEL.format(when="", shown_s=time.time()))
        self._stack = time_machine.traveller_stack
        shim.install()
        rebind.give_real_time(shim.REAL)
        self._travel = time_machine.travel(time.time() if self._start is None else self._start, tick=False)
        self._traveller = self._travel.start()
        self._wall_zero_ns = time.time_ns()
        # On whole seconds, so that sums of round numbers stay exact in floats: 288 times 300 s is a day.
        self._monotonic_zero_ns = -(-shim.unsimulated_monotonic_ns() // _SECOND_NS) * _SECOND_NS
        self._perf_counter_zero_ns = -(-shim.real_perf_counter_ns() // _SECOND_NS) * _SECOND_NS
        self._readings: list[Any] = [0.0, 0, 0.0, 0]
        self._show(0)
        # C code that reads one list item: the cheapest thing the app can call instead of the real clock.
        reads: list[Callable[[], Any]] = [
            functools.partial(operator.getitem, self._readings, index) for index in range(4)
        ]
        names = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
        shim.switched.switch(**dict(zip(names, reads, strict=True)), sleep=sleep)
        self.read_monotonic: Callable[[], float] = reads[0]

    def leave(self) -> None:
        """Give the real clocks back; monotonic keeps its lead, for it must never run backwards."""
        shim.back_to_real(self.monotonic_ns)
        if self._stack and self._stack[-1] is self._traveller:
            self._travel.stop()
        elif self._traveller in self._stack:  # a travel() of the app began later and is still active
            self._stack.remove(self._traveller)

    @property
    def monotonic_ns(self) -> int:
        """What ``time.monotonic_ns()`` shows now."""
        return self._monotonic_zero_ns + self.now_ns

    def move_to(self, ns: int) -> None:
        """Move every clock to `ns` after entering; never backwards. Safe from any thread."""
        with self._lock:
            if ns > self.now_ns:
                self._traveller.shift((ns - self.now_ns) / 1e9)
                self.now_ns = ns
                self._show(ns)

    def check(self) -> None:
        """Make sure nobody else moves the wall clock.

        Raises:
            SimulatedTimeError: freezegun or a time_machine.travel() has become active.
        """
        _check_freezegun(" since the clock was entered")
        if not self._stack or self._stack[-1] is not self._traveller:
            raise SimulatedTimeError(TRAVEL.format(when=" since the clock was entered", shown_s=time.time()))

    def _show(self, ns: int) -> None:
        monotonic_ns, perf_counter_ns = self._monotonic_zero_ns + ns, self._perf_counter_zero_ns + ns
        self._readings[:] = monotonic_ns / 1e9, monotonic_ns, perf_counter_ns / 1e9, perf_counter_ns


def _check_freezegun(when: str) -> None:
    freezegun = sys.modules.get("freezegun.api")
    if freezegun is not None and getattr(freezegun, "freeze_factories", None):
        raise SimulatedTimeError(FREEZEGUN.format(when=when))
