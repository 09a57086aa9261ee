"""The whole flow with real libraries: what leaks is found at its line, what levels off is not."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import functools
import gc
import inspect
import itertools
import os
import subprocess
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import httpx
import pytest

from pytest_memleak.judge.resources import judge_resources
from pytest_memleak.model import Finding, ResourceCount
from pytest_memleak.sense.watching import ResourceWatch

pytestmark = pytest.mark.asyncio

ITERATIONS = 60
Body = Callable[[int], Awaitable[None]]
Shutdown = Callable[[], Awaitable[None]]


class Run:
    """The findings and the counts of one run."""

    def __init__(self, counts: tuple[ResourceCount, ...], findings: tuple[Finding, ...]) -> None:
        self.counts = {count.kind: count for count in counts}
        self.failures = [finding for finding in findings if finding.fails]
        self.notes = [finding for finding in findings if not finding.fails]


async def no_shutdown() -> None: ...


async def run(body: Body, shutdown: Shutdown = no_shutdown, *, iterations: int = ITERATIONS) -> Run:
    """Repeat `body` as a memory check does, with the collector's freeze and all."""
    watch = ResourceWatch(iterations=iterations)
    watch.begin(asyncio.get_running_loop())
    try:
        with warnings.catch_warnings(record=True) as recorded:
            warnings.simplefilter("always")
            for iteration in range(iterations):
                if iteration == 5:
                    gc.collect()
                    gc.freeze()
                await body(iteration)
                watch.after_iteration(
                    iteration, [(one.category, one.message, one.filename, one.lineno) for one in recorded]
                )
                recorded.clear()
        gc.unfreeze()
        await watch.settle()
        watch.before_shutdown()
        await shutdown()
        await watch.settle()
        watch.after_shutdown()
    finally:
        gc.unfreeze()
        readings = watch.close()
    return Run(*judge_resources(readings))


def line_marked(mark: str, function: Callable[..., Any]) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(index for index, line in enumerate(lines) if f"# {mark}" in line)


# --- leaks ---


async def test_a_client_kept_for_each_request() -> None:
    clients: list[httpx.AsyncClient] = []

    async def body(iteration: int) -> None:
        clients.append(httpx.AsyncClient(verify=False))  # made

    result = await run(body)

    [finding] = result.failures
    assert finding.kind == "unclosed_client"
    assert "60 httpx.AsyncClient open after 60 iterations and rising by 1 per iteration" in finding.summary
    assert (finding.path, finding.line) == (__file__, line_marked("made", body))
    assert result.counts["client"].per_iteration == pytest.approx(1)


async def test_a_client_dropped_for_each_request() -> None:
    async def body(iteration: int) -> None:
        httpx.AsyncClient(verify=False)  # made

    [finding] = (await run(body)).failures

    assert (finding.kind, finding.line) == ("dropped_client", line_marked("made", body))
    assert finding.summary.startswith("60 httpx.AsyncClient dropped without close, 1 per iteration")


async def test_a_session_leaked_in_every_fifth_iteration(http_url: str) -> None:
    sessions: list[aiohttp.ClientSession] = []

    async def body(iteration: int) -> None:
        if iteration % 5 == 0:
            session = aiohttp.ClientSession()  # made
            async with session.get(http_url) as response:
                await response.read()
            sessions.append(session)

    async def shutdown() -> None:
        for session in sessions:
            await session.close()

    result = await run(body, shutdown)

    client, descriptors = result.failures
    assert (client.kind, client.line) == ("unclosed_client", line_marked("made", body))
    assert "closed by the shutdown" in client.details
    assert "file descriptors after 60 iterations" in descriptors.summary
    assert f"socket to {http_url.removeprefix('http://')}" in descriptors.details[0]


async def test_a_client_that_the_shutdown_forgets() -> None:
    @functools.lru_cache
    def shared() -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=False)  # made

    async def body(iteration: int) -> None:
        shared()

    [finding] = (await run(body)).failures

    assert (finding.kind, finding.line) == ("unclosed_client", line_marked("made", shared.__wrapped__))
    assert "1 httpx.AsyncClient open after the shutdown" in finding.summary


async def test_tasks_that_never_end() -> None:
    tasks: set[asyncio.Task[None]] = set()

    async def follow() -> None:
        await asyncio.Event().wait()  # waits

    async def body(iteration: int) -> None:
        if iteration % 5 == 0:
            tasks.add(asyncio.create_task(follow()))
            await asyncio.sleep(0)

    [finding] = (await run(body)).failures
    for task in tasks:
        task.cancel()

    assert "asyncio tasks" in finding.summary
    assert "follow" in finding.details[0]
    assert (finding.path, finding.line) == (__file__, line_marked("waits", follow))


async def test_async_generators_that_are_never_finished() -> None:
    abandoned: list[AsyncIterator[int]] = []

    async def rows() -> AsyncIterator[int]:
        yield 1  # stopped
        yield 2

    async def body(iteration: int) -> None:
        abandoned.append(rows())
        await anext(abandoned[-1])

    [finding] = (await run(body)).failures

    assert "unfinished async generators" in finding.summary
    assert finding.line == line_marked("stopped", rows)


async def test_threads_that_never_end() -> None:
    stop = threading.Event()

    async def body(iteration: int) -> None:
        threading.Thread(target=stop.wait, name=f"poller-{iteration}").start()

    [finding] = (await run(body)).failures
    stop.set()

    assert "threads after 60 iterations" in finding.summary
    assert finding.details[0].startswith("+60 poller-N")


async def test_pipes_that_are_never_closed() -> None:
    opened: list[int] = []

    async def body(iteration: int) -> None:
        opened.extend(os.pipe())

    [finding] = (await run(body)).failures
    for fd in opened:
        os.close(fd)

    assert "rising by 2 per iteration" in finding.summary
    assert finding.details[0] == "+120 pipe"


async def test_children_that_are_never_waited_for() -> None:
    children: list[subprocess.Popen[bytes]] = []

    async def body(iteration: int) -> None:
        if iteration % 5 == 0:
            children.append(subprocess.Popen(["sleep", "3600"]))

    [finding] = (await run(body)).failures
    for child in children:
        child.kill()
        child.wait()

    assert "child processes after 60 iterations" in finding.summary
    assert finding.details[0] == "+12 sleep 3600"


async def test_files_that_the_collector_closes_are_a_note() -> None:
    async def body(iteration: int) -> None:
        open(os.devnull)  # noqa: SIM115

    result = await run(body)

    assert result.failures == []
    assert [finding.summary[:26] for finding in result.notes] == ["ResourceWarning, 60 times:"]


# --- no leaks ---


async def test_a_keep_alive_pool_that_fills_to_its_size(http_url: str) -> None:
    limits = httpx.Limits(max_connections=8, max_keepalive_connections=8)
    clients: list[httpx.AsyncClient] = []

    async def body(iteration: int) -> None:
        if not clients:
            clients.append(httpx.AsyncClient(limits=limits, verify=False))
        at_once = min(8, 1 + iteration // 3)  # ever more connections are kept until the pool is full
        responses = await asyncio.gather(*(clients[0].get(http_url) for _ in range(at_once)))
        assert {response.status_code for response in responses} == {200}

    async def shutdown() -> None:
        await clients[0].aclose()

    result = await run(body, shutdown)

    assert (result.failures, result.notes) == ([], [])
    assert result.counts["fd"].count_end >= result.counts["fd"].count_start


async def test_an_executor_that_grows_to_its_size() -> None:
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as executor:
        barrier_parties = itertools.chain(range(1, 17), itertools.repeat(16))

        async def body(iteration: int) -> None:
            barrier = threading.Barrier(next(barrier_parties))
            loop = asyncio.get_running_loop()
            waits = (loop.run_in_executor(executor, barrier.wait) for _ in range(barrier.parties))
            await asyncio.gather(*waits)

        result = await run(body)

    assert (result.failures, result.notes) == ([], [])
    assert result.counts["thread"].count_end >= 17


async def test_a_client_made_on_first_use_and_closed_by_the_shutdown() -> None:
    @functools.lru_cache
    def shared() -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=False)

    async def body(iteration: int) -> None:
        if iteration == 30:  # late
            shared()

    result = await run(body, lambda: shared().aclose())

    assert (result.failures, result.notes) == ([], [])


async def test_a_client_for_each_request_that_is_closed(http_url: str) -> None:
    async def body(iteration: int) -> None:
        async with httpx.AsyncClient(verify=False) as client:
            await client.get(http_url)

    result = await run(body)

    assert (result.failures, result.notes) == ([], [])


async def test_a_cache_of_clients_that_closes_the_oldest() -> None:
    newest: collections.OrderedDict[int, httpx.AsyncClient] = collections.OrderedDict()

    async def close_oldest() -> None:
        await newest.popitem(last=False)[1].aclose()

    async def body(iteration: int) -> None:
        newest[iteration] = httpx.AsyncClient(verify=False)
        if len(newest) > 8:
            await close_oldest()

    async def shutdown() -> None:
        while newest:
            await close_oldest()

    result = await run(body, shutdown)

    assert (result.failures, result.notes) == ([], [])


async def test_tasks_that_end_a_little_later() -> None:
    tasks: set[asyncio.Task[None]] = set()

    async def write_the_audit_log() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def body(iteration: int) -> None:
        task = asyncio.create_task(write_the_audit_log())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    assert (await run(body)).failures == []


async def test_a_client_open_before_the_run_is_listed_only() -> None:
    earlier = httpx.Client(verify=False)
    try:
        result = await run(lambda iteration: asyncio.sleep(0))
    finally:
        earlier.close()

    assert result.failures == []
    assert [finding.summary for finding in result.notes] == ["1 httpx.Client open, made before the run; not judged"]


async def test_the_product_itself_adds_nothing() -> None:
    result = await run(lambda iteration: asyncio.sleep(0), iterations=300)

    assert (result.failures, result.notes) == ([], [])
    assert "client" not in result.counts


# --- the watch ---


async def test_closing_twice_gives_the_same_readings() -> None:
    watch = ResourceWatch(iterations=1)
    before = dict(vars(httpx.Client))
    watch.begin()
    watch.after_iteration(0)
    watch.before_shutdown()

    assert watch.close() == watch.close()
    assert dict(vars(httpx.Client)) == before


async def test_a_watch_that_never_began_closes() -> None:
    assert ResourceWatch(iterations=1).close().iterations == 0


async def test_explaining_iterations_are_not_counted() -> None:
    watch = ResourceWatch(iterations=2)
    watch.begin()
    for iteration in range(4):
        watch.after_iteration(iteration)
    watch.before_shutdown()

    readings = watch.close()
    assert readings.iterations == 2
    assert {len(series.counts) for series in readings.series} == {2}


async def test_a_run_without_a_loop() -> None:
    watch = ResourceWatch(iterations=30)
    watch.begin()
    clients = []
    for iteration in range(30):
        clients.append(httpx.Client(verify=False))
        watch.after_iteration(iteration)
    watch.settle_threads()
    watch.before_shutdown()
    watch.settle_threads()
    watch.after_shutdown()

    _, [finding] = judge_resources(watch.close(), root=os.path.dirname(__file__))
    assert finding.kind == "unclosed_client"


async def test_what_an_app_opens_once_and_closes_at_its_end_costs_no_waiting() -> None:
    slept: list[float] = []
    watch = ResourceWatch(iterations=30, sleep=slept.append)
    watch.begin(asyncio.get_running_loop())
    client, files, waiting = httpx.AsyncClient(verify=False), os.pipe(), asyncio.create_task(asyncio.Event().wait())
    for iteration in range(30):
        await asyncio.sleep(0)
        watch.after_iteration(iteration)
    await watch.settle()
    watch.before_shutdown()
    await client.aclose()  # kept, as on `app.state`, but closed
    await watch.settle()
    watch.after_shutdown()
    waiting.cancel()
    for file in files:
        os.close(file)

    _, findings = judge_resources(watch.close())
    assert not findings
    assert slept == []


async def test_a_client_that_another_thread_closes_after_the_shutdown() -> None:
    client = httpx.Client(verify=False)
    client.close()
    watch = ResourceWatch(iterations=1, sleep=lambda seconds: opened.close())
    watch.begin(asyncio.get_running_loop())
    opened = httpx.Client(verify=False)
    watch.after_iteration(0)
    watch.before_shutdown()
    del client  # as many are alive as before the run, and one of them is open
    await watch.settle()
    watch.after_shutdown()

    assert not judge_resources(watch.close())[1]
