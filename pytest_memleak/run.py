"""One memory check: the one place that knows the order drive -> sense -> judge -> explain."""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pytest_memleak.capture import CaughtWarnings
from pytest_memleak.drive.app import DriveError
from pytest_memleak.drive.deadline import Deadline, IterationTimeout
from pytest_memleak.drive.iterate import Drive, RealClock
from pytest_memleak.drive.whereabouts import Whereabouts
from pytest_memleak.explaining import SLOWER, explain_growth, is_worth_explaining
from pytest_memleak.judge.counts import may_level_off, slowed_down_by
from pytest_memleak.judge.memory import MemoryLook
from pytest_memleak.judge.outcome import EarlyStop, Measured, conclude, failed
from pytest_memleak.judge.resources import judge_resources
from pytest_memleak.measuring import WARM_UP, Journal, MemoryCheck, NothingMeasured
from pytest_memleak.model import Explanation, Finding
from pytest_memleak.origin import places_of_project, relative_path, take_for_app
from pytest_memleak.pacing import advance_to, entered_clock
from pytest_memleak.reasons import in_one_line
from pytest_memleak.sense.memory import MemorySensor, SensorError
from pytest_memleak.sense.probes import BUILT_IN, ClientProbe
from pytest_memleak.sense.watching import ResourceWatch
from pytest_memleak.settings import Settings
from pytest_memleak.simtime import SimulatedTimeError, real_monotonic, real_perf_counter, real_sleep
from pytest_memleak.units import format_duration
from pytest_memleak.verdict import Verdict

Body = Callable[[], Awaitable[object]]

_LONGEST_REASON = 300
_SLOWDOWN_EVERY = 10
_INTERRUPTIONS = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)
_NO_FAILURES = frozenset({"Skipped", "Exit"})
"""pytest's own, which is not imported here: a note of ours would be printed as a part of the reason."""


class Watcher(Protocol):
    """Stands beside the iterations without taking part: pytest's own recordings, the progress line."""

    def before_iteration(self) -> None:
        """Called before each run of the body."""

    def after_iteration(self, done: int, bytes_per_iteration: float) -> None:
        """Called after each sample, with the iterations done and the rough growth of live bytes so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run is told about where it runs.

    Args:
        root: the directory that places in findings are relative to.
        probes: client classes to track besides the built-in ones.
        watchers: called around every iteration.
        catch_warnings: keep the app's warnings from piling up; off for a test that reads them itself.
        journal: takes each sample when it is measured, for a process that may not live to tell.
    """

    root: str = ""
    probes: Sequence[ClientProbe] = ()
    watchers: Sequence[Watcher] = ()
    catch_warnings: bool = True
    journal: Journal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """What a run brought home."""

    measured: Measured
    decided: MemoryLook | EarlyStop
    traced: tuple[Finding, ...]
    explanation: Explanation | None = None


class LeakRun:
    """Repeats a test body, measures, and decides.

    Args:
        settings: what to check against.
        drive: the app and its traffic.
        around: where it runs.
    """

    def __init__(self, settings: Settings, drive: Drive, around: Surroundings | None = None) -> None:
        self.settings = settings
        self.drive = drive
        self.verdict: Verdict | None = None
        self._around = around or Surroundings()
        self._day: _Day | None = None
        self._took_s = array("d", bytes(8 * settings.last_look))
        self._slowed_down = ""
        take_for_app(places_of_project(self._around.root))
        self._deadline = Deadline(settings.iteration_timeout_s, real_monotonic)
        self._watch = ResourceWatch(
            iterations=settings.last_look,
            probes=(*BUILT_IN, *self._around.probes),
            exclude=drive.clients,
            sleep=real_sleep,
        )

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
            memory = MemoryCheck(self.settings, self.drive, sensor, self._around.root, self._around.journal)
            try:
                async with entered_clock(self.settings) as self.drive.clock:
                    day = await self._through_the_day(body, memory)
                self.verdict = self._conclude(day, real_perf_counter() - began)
            except (DriveError, NothingMeasured, SensorError, SimulatedTimeError) as error:
                self.verdict = failed(memory.measured(real_perf_counter() - began), str(error))
            except IterationTimeout as timeout:
                finding = self._overdue(timeout.where)
                self.verdict = failed(memory.measured(real_perf_counter() - began), finding.summary, finding)
            except BaseException as error:
                self.verdict = self._ended_by(error, memory, real_perf_counter() - began)
                raise
            finally:
                self._watch.close()
                self.drive.clock = RealClock()
        return self.verdict

    def _conclude(self, day: _Day, total_s: float) -> Verdict:
        readings = self._watch.close()
        resources = judge_resources(
            readings,
            allow_unclosed=self.settings.allow_unclosed,
            warm_up=WARM_UP,
            root=self._around.root,
        )
        measured = replace(
            day.measured,
            total_s=total_s,
            open_counts={series.kind: series.counts for series in readings.series},
        )
        return conclude(measured, day.decided, resources, day.explanation, day.traced, root=self._around.root)

    def _ended_by(self, error: BaseException, memory: MemoryCheck, total_s: float) -> Verdict:
        """What stands when something ends the check: an error, or the verdict, if it is interrupted after that."""
        if isinstance(error, asyncio.CancelledError) and error.args and isinstance(error.args[0], BaseException):
            error = error.args[0]  # what has torn the check out of its loop
        is_interruption = isinstance(error, _INTERRUPTIONS)
        if self._day is not None and is_interruption:
            return self._conclude(self._day, total_s)
        if not (is_interruption or type(error).__name__ in _NO_FAILURES):
            error.add_note(f"memleak: in iteration {self.drive.iteration} of at most {self.settings.last_look}")
        what = f"{_in_one_line(error)} (in iteration {self.drive.iteration})"
        return failed(memory.measured(total_s), what)

    async def _through_the_day(self, body: Body, memory: MemoryCheck) -> _Day:
        """Start the app, iterate, explain, stop the app; whatever happens, what was touched is given back."""
        try:
            with CaughtWarnings(active=self._around.catch_warnings) as caught:
                self._deadline.start()
                self._watch.begin(_running_loop())
                self.drive.watch = self._watch.clients.watch
                with self._deadline:
                    await self.drive.start()
                decided = await self._iterate(body, memory, caught)
                traced = memory.end()
                measured = memory.measured(0.0)
                await self._settle()
                self._watch.before_shutdown()
                self._day = day = _Day(measured=measured, decided=decided, traced=traced)
                explanation = await self._explain(body, memory, measured, decided, caught)
                with self._deadline:
                    await self.drive.stop()
                if self.drive.has_shutdown:
                    await self._settle()
                    self._watch.after_shutdown()
                return replace(day, explanation=explanation)
        finally:
            memory.end()
            try:
                with contextlib.suppress(DriveError, IterationTimeout), self._deadline:
                    await self.drive.stop()  # what went wrong first is what is reported
            finally:
                self._deadline.stop()

    async def _iterate(self, body: Body, memory: MemoryCheck, caught: CaughtWarnings) -> MemoryLook | EarlyStop:
        """Repeat the body until a look decides or the memory guard stops the run."""
        memory.begin()
        for done in range(1, self.settings.last_look + 1):
            began = real_perf_counter()
            await self._step(body)
            self._watch.after_iteration(done - 1, caught.drain())
            if (decided := memory.after_iteration(done)) and not self._is_too_early(done, decided):
                return decided
            self._took_s[done - 1] = real_perf_counter() - began
            if done % _SLOWDOWN_EVERY == 0 and self._has_slowed_down(done):
                return memory.conclude_early()
            for watcher in self._around.watchers:
                watcher.after_iteration(done, memory.rough_rate())
        raise AssertionError("the last look always decides")

    def _has_slowed_down(self, done: int) -> bool:
        """Whether the rest of the day would take for ever, because of something that leaks and is counted already."""
        factor = slowed_down_by(self._took_s[:done], self._watch.counts(), WARM_UP)
        if factor is not None:
            self._slowed_down = (
                f"stopped after {done:,} of {self.settings.last_look:,} iterations, not explained: one takes "
                f"{factor:.0f} times as long as at first, while what is open piles up"
            )
        return factor is not None

    def _is_too_early(self, done: int, decided: MemoryLook | EarlyStop) -> bool:
        """Whether memory has passed, but a count rises that may be a pool growing to its size."""
        may_go_on = isinstance(decided, MemoryLook) and done < self.settings.last_look
        return may_go_on and may_level_off(self._watch.counts(), WARM_UP)

    async def _step(self, body: Body) -> None:
        """One iteration: the body, then the rest of its simulated time."""
        for watcher in self._around.watchers:
            watcher.before_iteration()
        with self._deadline:
            await body()
        self.drive.iteration += 1
        with self._deadline:
            await advance_to(self.drive.clock, self.drive.iteration * self.settings.step_s)

    async def _explain(
        self,
        body: Body,
        memory: MemoryCheck,
        measured: Measured,
        decided: MemoryLook | EarlyStop,
        caught: CaughtWarnings,
    ) -> Explanation | None:
        if self._slowed_down:
            return Explanation(notes=(self._slowed_down,))
        if not self.settings.explain:
            return None
        counts, left_open = judge_resources(
            self._watch.readings(), allow_unclosed=self.settings.allow_unclosed, warm_up=WARM_UP, root=self._around.root
        )
        # A descriptor or a child process does not tell who opened it: what keeps it may.
        placeless = any(finding.fails and finding.path is None for finding in left_open)
        if not (placeless or is_worth_explaining(measured, decided)):
            return None

        async def step() -> None:
            await self._step(body)
            caught.drain()

        # What the extra iterations leave open, and how slow tracing makes them, is no part of what was judged.
        with self._watch.clients.paused(), self._deadline.stretched(SLOWER):
            return await explain_growth(
                step,
                memory=memory,
                measured=measured,
                decided=decided,
                resources=counts,
                drive=self.drive,
                root=self._around.root,
            )

    def _overdue(self, where: Whereabouts) -> Finding:
        """What took longer than it may, and where it was then."""
        site, does = where.site, "waits" if where.waits else "is blocked"
        place = f" at {relative_path(site.path, self._around.root)}:{site.line} in {site.function}" if site else ""
        return Finding(
            kind="iteration_timeout",
            summary=f"iteration {self.drive.iteration} took longer than iteration_timeout "
            f"{format_duration(self.settings.iteration_timeout_s)} of real time and {does}{place}",
            details=where.stack,
            path=site.path if site else None,
            line=site.line if site else None,
        )

    async def _settle(self) -> None:
        """Wait until what is closing has closed: a closing socket is no leak."""
        if _running_loop():
            await self._watch.settle()
        else:
            self._watch.settle_threads()


def _in_one_line(error: BaseException) -> str:
    """Type and message of an exception; the traceback has the rest."""
    if isinstance(error, asyncio.CancelledError) and error.args:
        return str(error)  # what it was cancelled for
    line = in_one_line(error)
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
