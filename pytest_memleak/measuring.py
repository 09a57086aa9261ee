"""The memory half of a run: samples after every iteration, looks when it is time, stops in time."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace

from pytest_memleak.drive.iterate import Drive
from pytest_memleak.explain import TraceRecorder
from pytest_memleak.judge.decision import Standing, looks
from pytest_memleak.judge.limits import MemoryGuard
from pytest_memleak.judge.live import USUAL_BLOCK, Calibration, calibration_points
from pytest_memleak.judge.memory import MemoryLook, Readings, Trim, look_at_memory
from pytest_memleak.judge.outcome import EarlyStop, Measured
from pytest_memleak.model import Finding
from pytest_memleak.sense.collector import FrozenHeap
from pytest_memleak.sense.memory import MemorySensor, available_bytes, memory_limit_bytes, small_blocks
from pytest_memleak.settings import Settings
from pytest_memleak.simtime import real_perf_counter

Journal = Callable[[tuple[int, ...]], object]
"""Takes RSS, mapped bytes, bytes of the C heap (-1: unknown), Python's blocks, and requests so far."""

WARM_UP = 10
"""Iterations before the heap is frozen again: imports, pools and first-use caches are there by then."""


class NothingMeasured(Exception):
    """The run has no result; the message is one sentence with the remedy."""


class MemoryCheck:
    """Samples, looks and guards; knows nothing of the test body.

    Args:
        settings: what to check against.
        drive: tells the requests served so far.
        sensor: entered, with a row for every iteration.
        root: the directory that places are relative to.
        journal: takes each sample when it is measured.
    """

    def __init__(
        self, settings: Settings, drive: Drive, sensor: MemorySensor, root: str, journal: Journal | None = None
    ) -> None:
        self.sensor = sensor
        self.trim: Trim | None = None
        self._settings = settings
        self._drive = drive
        self._journal = journal
        self._heap = FrozenHeap(real_perf_counter)
        self._look_at = frozenset(looks(settings.first_look, settings.last_look))
        self._calibrate_at = self._look_at | frozenset(calibration_points(WARM_UP, settings.last_look))
        self._standing = Standing()
        self._requests = array("q", bytes(8 * settings.last_look))
        self._calibrations: list[Calibration] = []
        self._guard: MemoryGuard | None = None
        self._tracer = TraceRecorder(root) if settings.trace else None
        self._traced = array("q", bytes(8 * settings.last_look)) if settings.trace else array("q")
        self._began = self._real_s = 0.0

    def begin(self) -> None:
        """Take the heap out of the collector's sight; the first iteration comes next."""
        self._heap.freeze()
        # What earlier tests have freed must not come back at the end as if this run had freed it.
        self.sensor.trim()
        if self._tracer:
            self._tracer.start()
        self._began = real_perf_counter()

    def after_iteration(self, done: int) -> MemoryLook | EarlyStop | None:
        """Sample, and decide when it is time.

        Args:
            done: iterations so far.

        Raises:
            NothingMeasured: when there is nothing that could be judged.
        """
        if done == WARM_UP:
            self._heap.freeze_more()
        self._heap.collect()
        rss = self.sensor.sample()
        self._requests[done - 1] = self._drive.requests
        if self._journal:
            self._journal((*self.sensor.row(done - 1), self._drive.requests))
        if self._tracer:
            self._traced[done - 1] = self._tracer.sample()
        self._real_s = real_perf_counter() - self._began
        if stop := self._guard_memory(rss):
            return stop
        if done in self._calibrate_at:
            self._calibrate(done)
        look = self._look(last=done == self._settings.last_look) if done in self._look_at else None
        return look if look and look.outcome != "continue" else None

    def conclude_early(self) -> MemoryLook:
        """What can be said before the end of the day: never a leak, which may still be a cache that fills."""
        look = self._look(last=True)
        return replace(look, outcome="inconclusive") if look.outcome == "leak" else look

    def end(self) -> tuple[Finding, ...]:
        """Give the heap back to the collector; the findings of a traced run. A second call does nothing."""
        self._heap.restore()
        tracer, self._tracer = self._tracer, None
        return tracer.finish() if tracer else ()

    def measured(self, total_s: float) -> Measured:
        """The facts so far, for the verdict."""
        app = self._drive.app if self._drive.uses_app else None
        return Measured(
            settings=self._settings,
            readings=self._readings(first=0),
            requests_by_iteration=self._requests[: self.sensor.count],
            requests=app.requests if app else None,
            failed_requests=app.failed_requests if app else 0,
            refused_requests=app.refused_requests if app else 0,
            routes=dict(app.routes) if app else {},
            rss_peak_bytes=self.sensor.peak_bytes() or None,
            memory_limit_bytes=self._settings.memory_limit_bytes or memory_limit_bytes(),
            real_s=self._real_s,
            total_s=total_s,
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        found = self._heap.found_while_off / max(1, self.sensor.count - WARM_UP)
        if found < 1:
            return ()
        return (
            "the garbage collector is off (gc.disable()). This check collects after each iteration all the same and "
            f"found {found:,.0f} objects each time in reference cycles, the test client's among them; without it they "
            "stay",
        )

    def rough_rate(self) -> float:
        """Live bytes gained per iteration since the warm-up, by the two ends alone; for the progress line."""
        now, columns = self.sensor.count - 1, self.sensor
        if now <= WARM_UP:
            return 0.0
        heap = columns.heap_bytes[now] - columns.heap_bytes[WARM_UP]
        blocks = columns.blocks[now] - columns.blocks[WARM_UP]
        return (heap + blocks * USUAL_BLOCK) / (now - WARM_UP)

    def live_bytes(self) -> float:
        """Live bytes now, outside the measured window, exactly where that is known."""
        state = small_blocks()
        return self.sensor.heap_bytes_now() + (state.used_bytes if state else sys.getallocatedblocks() * USUAL_BLOCK)

    def _look(self, *, last: bool) -> MemoryLook:
        """Judge what was measured so far; at the end, try whether RSS alone is only freed memory."""
        asked = _Question(
            readings=self._readings(first=1),  # the first sample carries the cost of sampling itself
            budget=self._budget_bytes(self.sensor.count),
            standing=self._standing,
            last=last,
        )
        look = asked.look(None)
        if look.wants_trim and (trimmed := self.sensor.trim()):
            self.trim = Trim(before_bytes=trimmed[0], after_bytes=trimmed[1])
            look = asked.look(self.trim)
        self._standing = look.standing
        return look

    def _budget_bytes(self, done: int) -> float:
        """The budget of one iteration, from the requests seen so far.

        Raises:
            NothingMeasured: when the requests it depends on never came.
        """
        if self._drive.uses_app and not self._drive.requests:
            raise NothingMeasured(
                f"nothing was measured: the test uses an app and sent no request to it in {done} iterations; "
                "send some with memleak_client or `await memleak.send(...)`"
            )
        budget = self._settings.max_growth
        if budget.per == "request" and not self._drive.requests:
            raise NothingMeasured(
                f"nothing was measured: the budget {budget.text} is per request and no request was sent; send some "
                "with memleak_client or `await memleak.send(...)`, or give a budget per iteration or per 24h"
            )
        return self._settings.budget_bytes_per_iteration(self._drive.requests / done)

    def _readings(self, *, first: int) -> Readings:
        done, columns = self.sensor.count, self.sensor
        return Readings(
            rss_bytes=columns.rss_bytes[first:done],
            vms_bytes=columns.vms_bytes[first:done],
            heap_bytes=columns.heap_bytes[first:done] if columns.has_heap else (),
            blocks=columns.blocks[first:done],
            traced_bytes=self._traced[first:done],
            calibrations=tuple(c.shifted(-first) for c in self._calibrations),
            requests=self._drive.requests,
        )

    def _calibrate(self, done: int) -> None:
        if state := small_blocks():
            self._calibrations.append(
                Calibration(
                    at=done - 1,
                    blocks=state.blocks,
                    used_bytes=state.used_bytes,
                    arena_bytes=state.arena_bytes,
                )
            )

    def _guard_memory(self, rss: int) -> EarlyStop | None:
        """Stop before the machine runs out: a leak of gigabytes is no news after the first of them."""
        if self._guard is None:
            per_iteration = self._settings.budget_bytes_per_iteration(self._drive.requests or 1)
            self._guard = MemoryGuard(
                start_bytes=rss,
                run_budget_bytes=per_iteration * self._settings.last_look,
                available_bytes=available_bytes(),
                max_memory_bytes=self._settings.max_memory_bytes,
            )
        return EarlyStop(guard=self._guard, rss_bytes=rss) if rss > self._guard.stop_bytes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What one look is about; asked again when trimming gave memory back."""

    readings: Readings
    budget: float
    standing: Standing
    last: bool

    def look(self, trim: Trim | None) -> MemoryLook:
        return look_at_memory(self.readings, budget=self.budget, standing=self.standing, last=self.last, trim=trim)
