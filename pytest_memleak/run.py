"""One memory check: the one place that knows the order drive -> sense -> judge -> explain."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from pytest_memleak.drive.app import DriveError
from pytest_memleak.drive.iterate import Drive, RealClock
from pytest_memleak.judge.decision import Standing, looks
from pytest_memleak.judge.limits import MemoryGuard
from pytest_memleak.judge.live import USUAL_BLOCK, Calibration
from pytest_memleak.judge.memory import MemoryLook, Readings, Trim, look_at_memory
from pytest_memleak.judge.outcome import EarlyStop, Measured, conclude, failed
from pytest_memleak.pacing import advance_to, entered_clock
from pytest_memleak.sense.collector import FrozenHeap
from pytest_memleak.sense.memory import MemorySensor, available_bytes, memory_limit_bytes, small_blocks
from pytest_memleak.settings import Settings
from pytest_memleak.simtime import SimulatedTimeError, real_perf_counter
from pytest_memleak.verdict import Verdict

WARM_UP = 10
"""Iterations before the heap is frozen again: imports, pools and first-use caches are there by then."""

Body = Callable[[], Awaitable[object]]


class NothingMeasured(Exception):
    """The run has no result; the message is one sentence with the remedy."""


class Watcher(Protocol):
    """Stands beside the iterations without taking part: pytest's own recordings, the progress line."""

    def before_iteration(self) -> None:
        """Called before each run of the body."""

    def after_iteration(self, done: int, bytes_per_iteration: float) -> None:
        """Called after each sample, with the iterations done and the rough growth of live bytes so far."""


class LeakRun:
    """Repeats a test body, measures, and decides.

    Args:
        settings: what to check against.
        drive: the app and its traffic.
        watchers: called around every iteration.
    """

    def __init__(self, settings: Settings, drive: Drive, watchers: Sequence[Watcher] = ()) -> None:
        self.settings = settings
        self.drive = drive
        self.verdict: Verdict | None = None
        self._watchers = tuple(watchers)
        self._heap = FrozenHeap()
        self._requests = array("q", bytes(8 * settings.last_look))
        self._calibrations: list[Calibration] = []
        self._guard: MemoryGuard | None = None
        self._real_s = 0.0

    async def check(self, body: Body) -> Verdict:
        """Run the check.

        Args:
            body: one iteration.

        Returns:
            the verdict, which is also kept in `verdict`; a leak raises nothing.

        Raises:
            Exception: whatever the body raises, after the verdict ``error`` was kept.
        """
        began = real_perf_counter()
        with MemorySensor(self.settings.last_look, real_perf_counter) as sensor:
            try:
                async with entered_clock(self.settings) as self.drive.clock:
                    decided = await self._drive(body, sensor)
                self.verdict = conclude(self._measured(sensor, began), decided)
            except (DriveError, NothingMeasured, SimulatedTimeError) as error:
                self.verdict = failed(self._measured(sensor, began), str(error))
            except BaseException as error:
                error.add_note(f"memleak: in iteration {self.drive.iteration} of at most {self.settings.last_look}")
                what = f"{type(error).__name__}: {error} (in iteration {self.drive.iteration})"
                self.verdict = failed(self._measured(sensor, began), what)
                raise
            finally:
                self.drive.clock = RealClock()
        return self.verdict

    async def _drive(self, body: Body, sensor: MemorySensor) -> MemoryLook | EarlyStop:
        """Start the app, iterate, stop the app; whatever happens, what was touched is given back."""
        try:
            await self.drive.start()
            decided = await self._iterate(body, sensor)
            await self.drive.stop()
            return decided
        finally:
            self._heap.restore()
            with contextlib.suppress(DriveError):  # what went wrong first is what is reported
                await self.drive.stop()

    async def _iterate(self, body: Body, sensor: MemorySensor) -> MemoryLook | EarlyStop:
        """Repeat the body until a look decides or the memory guard stops the run."""
        look_at = frozenset(looks(self.settings.first_look, self.settings.last_look))
        standing = Standing()
        self._heap.freeze()
        began = real_perf_counter()
        for done in range(1, self.settings.last_look + 1):
            for watcher in self._watchers:
                watcher.before_iteration()
            await body()
            self.drive.iteration = done
            await advance_to(self.drive.clock, done * self.settings.step_s)
            if done == WARM_UP:
                self._heap.freeze()
            self._heap.collect()
            rss = sensor.sample()
            self._requests[done - 1] = self.drive.requests
            self._real_s = real_perf_counter() - began
            if stop := self._guard_memory(rss):
                return stop
            if done == WARM_UP or done in look_at:
                self._calibrate(done)
            if done in look_at:
                look = self._look(sensor, standing)
                standing = look.standing
                if look.outcome != "continue":
                    return look
            for watcher in self._watchers:
                watcher.after_iteration(done, self._rough_rate(sensor))
        raise AssertionError("the last look always decides")

    def _look(self, sensor: MemorySensor, standing: Standing) -> MemoryLook:
        """Judge what was measured so far; at the end, try whether RSS alone is only freed memory."""
        budget = self._budget_bytes(sensor.count)
        last = sensor.count == self.settings.last_look
        readings = self._readings(sensor, first=1)  # the first sample carries the cost of sampling itself
        look = look_at_memory(readings, budget=budget, standing=standing, last=last)
        if look.wants_trim and (trimmed := sensor.trim()):
            trim = Trim(before_bytes=trimmed[0], after_bytes=trimmed[1])
            look = look_at_memory(readings, budget=budget, standing=standing, last=last, trim=trim)
        return look

    def _budget_bytes(self, done: int) -> float:
        """The budget of one iteration, from the requests seen so far.

        Raises:
            NothingMeasured: when the requests it depends on never came.
        """
        if self.drive.uses_app and not self.drive.requests:
            raise NothingMeasured(
                f"nothing was measured: the test uses an app and sent no request to it in {done} iterations; "
                "send some with memleak_client or memleak.send"
            )
        if self.settings.max_growth.per == "request" and not self.drive.requests:
            raise NothingMeasured(
                f"nothing was measured: the budget {self.settings.max_growth.text} is per request and no request was "
                "sent; send some with memleak_client or memleak.send, or give a budget per iteration or per 24h"
            )
        return self.settings.budget_bytes_per_iteration(self.drive.requests / done)

    def _readings(self, sensor: MemorySensor, *, first: int) -> Readings:
        done = sensor.count
        return Readings(
            rss_bytes=sensor.rss_bytes[first:done],
            vms_bytes=sensor.vms_bytes[first:done],
            heap_bytes=sensor.heap_bytes[first:done] if sensor.has_heap else (),
            blocks=sensor.blocks[first:done],
            calibrations=tuple(c.shifted(-first) for c in self._calibrations),
            requests=self.drive.requests,
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
            per_iteration = self.settings.budget_bytes_per_iteration(self.drive.requests or 1)
            self._guard = MemoryGuard(
                start_bytes=rss,
                run_budget_bytes=per_iteration * self.settings.last_look,
                available_bytes=available_bytes(),
                max_memory_bytes=self.settings.max_memory_bytes,
            )
        return EarlyStop(guard=self._guard, rss_bytes=rss) if rss > self._guard.stop_bytes else None

    def _rough_rate(self, sensor: MemorySensor) -> float:
        """Live bytes gained per iteration since the warm-up, by the two ends alone; for the progress line."""
        now = sensor.count - 1
        if now <= WARM_UP:
            return 0.0
        heap = sensor.heap_bytes[now] - sensor.heap_bytes[WARM_UP]
        blocks = sensor.blocks[now] - sensor.blocks[WARM_UP]
        return (heap + blocks * USUAL_BLOCK) / (now - WARM_UP)

    def _measured(self, sensor: MemorySensor, began: float) -> Measured:
        """The facts of the run so far, for the verdict."""
        app = self.drive.app if self.drive.uses_app else None
        return Measured(
            settings=self.settings,
            readings=self._readings(sensor, first=0),
            requests_by_iteration=self._requests[: sensor.count],
            requests=app.requests if app else None,
            failed_requests=app.failed_requests if app else 0,
            routes=dict(app.routes) if app else {},
            rss_peak_bytes=sensor.peak_bytes() or None,
            memory_limit_bytes=self.settings.memory_limit_bytes or memory_limit_bytes(),
            real_s=self._real_s,
            total_s=real_perf_counter() - began,
        )
