"""Whether a verdict is worth explaining, and what the explanation is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from pytest_memleak.drive.deadline import IterationTimeout
from pytest_memleak.drive.iterate import Drive
from pytest_memleak.explain import StepFailed, explain
from pytest_memleak.judge.growth import reported_growth
from pytest_memleak.judge.memory import MemoryLook
from pytest_memleak.judge.outcome import EarlyStop, Measured, grows_well_above_floor
from pytest_memleak.measuring import MemoryCheck
from pytest_memleak.model import Explanation, GrowthFacts, ResourceCount
from pytest_memleak.sense.collector import thawed
from pytest_memleak.sense.memory import available_bytes
from pytest_memleak.simtime import real_perf_counter
from pytest_memleak.units import format_bytes

_ITERATIONS = 300
"""What an explanation costs at most, in plain iterations."""
SLOWER = 5
"""How many times `iteration_timeout` an iteration may take while it is traced."""

Step = Callable[[], Awaitable[None]]


def is_worth_explaining(measured: Measured, decided: MemoryLook | EarlyStop) -> bool:
    """A leak, a suspicious inconclusive verdict, or growth within the budget but well above the floor."""
    if isinstance(decided, EarlyStop) or decided.outcome == "leak":
        return True
    if decided.outcome == "passed":
        return grows_well_above_floor(measured, decided.live_growth)
    above = decided.worse.low_bytes_per_iteration > measured.budget_bytes
    return above or decided.live.suspicious or decided.rss.suspicious


async def explain_growth(
    step: Step,
    *,
    memory: MemoryCheck,
    measured: Measured,
    decided: MemoryLook | EarlyStop,
    resources: tuple[ResourceCount, ...],
    drive: Drive,
    root: str,
) -> Explanation:
    """Explain a growth in extra iterations, outside the measured window.

    Args:
        step: one more iteration.
        memory: the memory check, for live bytes now and for what trimming returned.
        measured: the facts of the run.
        decided: the deciding look, or the guard that stopped the run.
        resources: counts of what is open.
        drive: the app and its traffic.
        root: the directory that places are relative to.
    """
    step = _guarded(step)
    facts = replace(
        _facts(measured, memory, resources),
        on_live_bytes=isinstance(decided, MemoryLook) and decided.live.leaks,
    )
    needed = max(facts.rss_bytes_per_iteration, facts.live_bytes_per_iteration or 0.0) * _ITERATIONS
    try:
        available = available_bytes()
    except OSError as error:  # a leak of descriptors has used up the last one
        return Explanation(notes=(f"not explained: {error.strerror}",))
    if needed > available / 4:
        note = f"not explained: {_ITERATIONS} more iterations at this rate would need {format_bytes(needed)} of memory"
        return Explanation(notes=(note,))
    until_s = real_perf_counter() + _ITERATIONS * measured.real_s / max(1, measured.iterations)
    with thawed():
        return await explain(
            step,
            growth=facts,
            requests=lambda: drive.requests,
            root=root,
            routes=drive.record_routes if len(measured.routes) > 1 else None,
            live=memory.live_bytes,
            in_time=lambda: real_perf_counter() < until_s,
        )


def _guarded(step: Step) -> Step:
    """An iteration that fails, skips or hangs now ends the explanation only: the verdict is reached."""

    async def guarded() -> None:
        try:
            await step()
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except IterationTimeout:
            raise StepFailed(
                f"the explanation ended early: an iteration took longer than {SLOWER} times iteration_timeout"
            ) from None
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                raise
            raise StepFailed(f"the explanation ended early: the iteration raised {type(error).__name__}") from None

    return guarded


def _is_being_cancelled() -> bool:
    """Whether somebody outside ends this task, as Ctrl-C does; a body may raise the same exception by itself."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


def _facts(measured: Measured, memory: MemoryCheck, resources: tuple[ResourceCount, ...]) -> GrowthFacts:
    readings = measured.readings
    rss, live = readings.rss_bytes, measured.live_bytes
    rss_rate = reported_growth(rss).bytes_per_iteration or _slope(rss)
    live_rate = reported_growth(live).bytes_per_iteration or _slope(live)
    first_half, second_half = live[: len(live) // 2], live[len(live) // 2 :]
    return GrowthFacts(
        iterations=measured.iterations,
        rss_bytes_per_iteration=rss_rate,
        rss_growth_bytes=rss[-1] - rss[0],
        live_bytes_per_iteration=live_rate,
        vms_growth_bytes=readings.vms_bytes[-1] - readings.vms_bytes[0] if readings.vms_bytes else None,
        trimmed_bytes=memory.trim.returned_bytes if memory.trim else None,
        threads_per_iteration=sum(count.per_iteration for count in resources if count.kind == "thread"),
        clients_per_iteration=sum(count.per_iteration for count in resources if count.kind == "client"),
        tasks_per_iteration=sum(count.per_iteration for count in resources if count.kind == "task"),
        requests_per_iteration=measured.requests_per_iteration,
        traced=measured.settings.trace,
        linear_to_the_end=live_rate > 0 and abs(_slope(second_half) / (_slope(first_half) or 1) - 1) < 0.1,
    )


def _slope(series: Sequence[float]) -> float:
    last = len(series) - 1
    return (series[last] - series[0]) / last if last > 0 else 0.0
