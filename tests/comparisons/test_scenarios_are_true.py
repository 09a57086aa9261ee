"""The scenarios of the benchmarks leak what they say, and the clean ones level off."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.rivals.serving import repeat, served
from benchmarks.scenarios import ALL, Scenario, app, named
from pytest_memleak.simtime import SimulatedClock, SimulatedLoop

JOBS = ("hourly job", "five-minute job")
GROWING = [s.name for s in ALL if s.kind == "memory" and s.bytes_per_iteration and s.name not in JOBS]


OWN_CODE = tracemalloc.Filter(True, str(Path(app.__file__).with_name("*")))


@pytest.fixture
def tracing() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def traced() -> int:
    """Bytes that the scenarios' own lines allocated: httpx and the test are not meant."""
    gc.collect()
    snapshot = tracemalloc.take_snapshot().filter_traces([OWN_CODE])
    return sum(trace.size for trace in snapshot.traces)


def growth(scenario: Scenario, read: Callable[[], int], *, settle: int, measured: int) -> float:
    """What an iteration adds, after some that are not counted."""
    with served(scenario) as step:
        repeat(step, settle)
        before = read()
        repeat(step, measured)
        return (read() - before) / measured


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("name", GROWING)
def test_memory_grows_by_what_the_scenario_says(name):
    scenario = named(name)

    per_iteration = growth(scenario, traced, settle=5, measured=30 if name == "staircase" else 12)

    # Lists grow by more than a slot at a time; an object and its dictionary come on top of a payload.
    assert per_iteration == pytest.approx(scenario.bytes_per_iteration, rel=0.05)


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("name", JOBS)
def test_a_job_leaks_in_simulated_time(name):
    scenario = named(name)

    async def six_hours() -> float:
        async with SimulatedClock() as clock:
            served_app = scenario.build()
            await served_app.startup()
            before = traced()
            await clock.advance_to(6 * 3600 + 30)
            grown = traced() - before
            await served_app.shutdown()
            return grown / 360

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        per_iteration = runner.run(six_hours())

    assert per_iteration == pytest.approx(scenario.bytes_per_iteration, rel=0.01)


@pytest.mark.usefixtures("tracing")
def test_the_native_leak_is_seen_by_the_heap_alone():
    scenario = named("native")

    heap = growth(scenario, lambda: psutil.heap_info().heap_used + psutil.heap_info().mmap_used, settle=5, measured=20)

    assert heap == pytest.approx(scenario.bytes_per_iteration, rel=0.05)
    assert growth(scenario, traced, settle=5, measured=20) < 0.01 * scenario.bytes_per_iteration


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize(
    ("name", "settle", "measured"),
    [
        ("no-op", 10, 20),
        ("JSON echo", 10, 20),
        ("LRU filling", 101, 20),
        ("cyclic garbage", 10, 20),
    ],
)
def test_clean_scenarios_level_off(name, settle, measured):
    assert growth(named(name), traced, settle=settle, measured=measured) < 500  # keys and their numbers differ in size


@pytest.mark.parametrize(
    ("name", "count", "every"),
    [
        ("thread", threading.active_count, 1),
        ("file descriptor", psutil.Process().num_fds, 1),
        ("child process", lambda: len(psutil.Process().children()), 20),
        ("unclosed httpx client", lambda: sum(type(o) is httpx.AsyncClient for o in gc.get_objects()), 1),
    ],
)
def test_what_stays_open_is_counted(name, count, every):
    with served(named(name)) as step:
        before = count()
        repeat(step, 20)
        assert count() - before == 20 // every


def test_tasks_stay():
    scenario = named("task")

    async def counted() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(scenario.build()), base_url="http://x") as client:
            for _ in range(20):
                await scenario.step(client)
            return len(asyncio.all_tasks())

    assert asyncio.run(counted()) == 21


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("size", [4, 16, 64])
def test_leaks_of_known_size_are_exact(size):
    scenario = named(f"keeps {size} B under {size // 2} B")

    assert scenario.marker == {"max_growth": f"{size // 2}B/request"}
    assert scenario.budget_per_iteration == 10 * (size // 2)
    per_iteration = growth(scenario, traced, settle=4, measured=20)
    assert per_iteration == pytest.approx(scenario.bytes_per_iteration, rel=0.01)


def test_lines_are_found_by_their_comment():
    assert [s.name for s in ALL if s.expected == "leak" and s.line is None] == []
    assert len({scenario.name for scenario in ALL}) == len(ALL)
