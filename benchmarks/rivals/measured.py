"""Tools that are a few lines around the iterations; one run: ``python -m benchmarks.rivals.measured TOOL SCENARIO``."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable

import httpx
import psutil

from benchmarks.rivals import say
from benchmarks.rivals.serving import MEASURED, WARM_UP, repeat, served
from benchmarks.scenarios import Scenario, named

PSLEAK_TIMES, PSLEAK_RETRIES = 50, 5
PYLEAK_ITERATIONS = 50


def _rss() -> int:
    return int(psutil.Process().memory_info().rss)


def _compared(scenario: Scenario, read: Callable[[], int]) -> None:
    """Read before and after; more than the budget is a leak."""
    with served(scenario) as step:
        repeat(step, WARM_UP)
        gc.collect()
        before = read()
        repeat(step, MEASURED)
        gc.collect()
        growth = (read() - before) / MEASURED
    say("leak" if growth > scenario.budget_per_iteration else "clean", bytes_per_iteration=round(growth))


def first_versus_last_rss(scenario: Scenario) -> None:
    """The difference of two readings of RSS."""
    _compared(scenario, _rss)


def traced_before_and_after(scenario: Scenario) -> None:
    """The difference of two readings of traced bytes."""
    tracemalloc.start()
    _compared(scenario, lambda: tracemalloc.get_traced_memory()[0])


def mann_kendall(scenario: Scenario) -> None:
    """A trend test on RSS, with its slope against the budget."""
    series = []
    with served(scenario) as step:
        repeat(step, WARM_UP)
        for _ in range(MEASURED):
            step()
            series.append(_rss())
    import pymannkendall  # only now: with numpy it is 40 MB

    trend = pymannkendall.original_test(series, alpha=0.01)
    leaks = trend.trend == "increasing" and trend.slope > scenario.budget_per_iteration
    say("leak" if leaks else "clean", bytes_per_iteration=round(float(trend.slope)), p=float(trend.p))


def psleak(scenario: Scenario) -> None:
    """Its test case, on one iteration."""
    from psleak import Checkers, Error, MemoryLeakTestCase

    with served(scenario) as step:
        step()  # what the first iteration opens for good
        try:
            MemoryLeakTestCase().execute(
                step,
                times=PSLEAK_TIMES,
                retries=PSLEAK_RETRIES,
                tolerance=round(scenario.budget_per_iteration * PSLEAK_TIMES),
                checkers=Checkers.exclude("gcgarbage"),  # which is about __del__ in C types
            )
        except Error as error:
            say("leak", said=str(error)[:200])
        else:
            say("clean")


def pyleak(scenario: Scenario) -> None:
    """Its context managers, around iterations on one loop."""
    from pyleak import TaskLeakError, ThreadLeakError, no_task_leaks, no_thread_leaks

    async def iterations() -> None:
        app = scenario.build()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            await app.startup()
            for _ in range(WARM_UP):
                await scenario.step(client)
            try:
                with no_thread_leaks(action="raise", exclude_daemon=False):
                    async with no_task_leaks(action="raise"):
                        for _ in range(PYLEAK_ITERATIONS):
                            await scenario.step(client)
            except (TaskLeakError, ThreadLeakError) as error:
                say("leak", said=str(error)[:200])
            else:
                say("clean")
            await app.shutdown()

    asyncio.run(iterations())


def plain(scenario: Scenario) -> None:
    """The iterations alone, after as many to warm up as the others have."""
    with served(scenario) as step:
        repeat(step, WARM_UP)
        began = time.perf_counter()
        repeat(step, MEASURED)
        took = time.perf_counter() - began
    say("clean", checked_s=round(took, 3))


_RUN = {
    "480 plain iterations": plain,
    "tracemalloc": traced_before_and_after,
    "first v. last RSS": first_versus_last_rss,
    "Mann-Kendall on RSS": mann_kendall,
    "psleak": psleak,
    "pyleak": pyleak,
}

if __name__ == "__main__":
    _RUN[sys.argv[1]](named(sys.argv[2]))
