"""Worker threads and the app's own threads: real work holds the clock, sleeping does not."""

import asyncio
import concurrent.futures
import gc
import queue
import threading
import time
import warnings
import weakref
from functools import partial

import anyio
import anyio.from_thread
import anyio.to_thread
import httpx
import pytest
from fastapi import FastAPI

from pytest_memleak.simtime import SimulatedTimeWarning, real_monotonic, real_sleep

DAY_S = 86_400
STEP_S = 60


def real_work(seconds=0.02):
    until = real_monotonic() + seconds
    while real_monotonic() < until:
        pass
    return "done"


async def ticking():
    while True:
        await asyncio.sleep(0.01)


async def in_executor(function):
    return await asyncio.get_running_loop().run_in_executor(None, function)


async def in_own_pool(function):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return await asyncio.wrap_future(pool.submit(function))


@pytest.mark.parametrize("run", [asyncio.to_thread, anyio.to_thread.run_sync, in_executor, in_own_pool])
async def test_real_work_in_a_thread_never_times_out(clock, run):
    ticker = asyncio.create_task(ticking())
    assert await asyncio.wait_for(run(real_work), timeout=5) == "done"
    async with asyncio.timeout(5):
        await run(real_work)
    with anyio.fail_after(5):
        await run(real_work)
    assert clock.now == 0
    ticker.cancel()


async def test_a_def_endpoint_never_times_out(clock):
    app = FastAPI()

    @app.get("/")
    def endpoint():
        return real_work()

    ticker = asyncio.create_task(ticking())
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        asyncio.timeout(5),
    ):
        for _ in range(5):
            assert (await client.get("/")).json() == "done"
    assert clock.now == 0
    ticker.cancel()


async def test_a_def_endpoint_that_sleeps_costs_simulated_time(clock):
    app = FastAPI()

    @app.get("/")
    def endpoint():
        time.sleep(1)
        real_work()
        time.sleep(1)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        await client.get("/")
    assert clock.now == 2


@pytest.mark.parametrize("run", [asyncio.to_thread, anyio.to_thread.run_sync, in_executor, in_own_pool])
async def test_jobs_that_sleep_overlap_and_time_out(clock, run):
    await asyncio.gather(*(run(lambda: time.sleep(600)) for _ in range(4)))
    assert clock.now == 600
    if run is not in_own_pool:  # leaving its `with` waits for the thread, as it does in real time
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await run(lambda: time.sleep(3000))
        if run is not anyio.to_thread.run_sync:  # anyio waits for the thread before it cancels
            assert clock.now == 605


async def test_a_background_thread_paced_by_sleep_runs_288_times_a_day(clock):
    runs = []

    def job():
        while len(runs) < 10_000:
            time.sleep(300)
            runs.append(clock.now)

    threading.Thread(target=job, daemon=True).start()
    for step in range(DAY_S // STEP_S):
        await clock.advance_to((step + 1) * STEP_S)
    assert runs == [300.0 * run for run in range(1, 289)]


async def test_a_woken_thread_settles_before_time_moves_on(clock):
    log = []

    def job():
        for _ in range(10):
            time.sleep(1)
            real_work(0.01)
            log.append(clock.now)

    threading.Thread(target=job, daemon=True).start()
    await clock.advance(10)
    assert log == [float(second) for second in range(1, 11)]


def resting_worker(jobs, clock, log):
    """A thread that rests after each job, as the one that closes the channels of pycares does."""

    def work():
        while True:
            jobs.get()
            real_work(0.001)
            log.append(clock.now)
            time.sleep(1)

    threading.Thread(target=work, daemon=True).start()


@pytest.mark.parametrize("kind", [queue.Queue, queue.SimpleQueue])
@pytest.mark.clock(patience=2)
@pytest.mark.filterwarnings("ignore:.*is still running:pytest_memleak.simtime.SimulatedTimeWarning")
async def test_a_thread_that_waits_for_its_next_job_is_waited_for_once(clock, kind):
    jobs, log = kind(), []
    resting_worker(jobs, clock, log)
    started = real_monotonic()
    for step in range(20):
        for _ in range(5):
            jobs.put(None)
        await clock.advance_to((step + 1) * STEP_S)
    assert real_monotonic() - started < 10  # a patience for each step would be 40
    assert log == [step * STEP_S + second for step in range(20) for second in range(5)]


@pytest.mark.parametrize("kind", [queue.Queue, queue.SimpleQueue])
@pytest.mark.clock(patience=0.2)
async def test_a_job_given_to_a_waiting_thread_is_done_before_time_moves_on(clock, kind):
    """However long the thread had been silent, and with no timer near that would hold the clock."""
    jobs, log = kind(), []
    resting_worker(jobs, clock, log)
    for step in range(200):
        await clock.advance_to(step * STEP_S)
        jobs.put(None)
    await clock.advance(STEP_S)
    assert log == [step * STEP_S for step in range(200)]


@pytest.mark.clock(patience=0.2)
async def test_a_thread_that_waits_for_another_is_not_worth_a_warning(clock):
    jobs, log = queue.Queue(), []
    resting_worker(jobs, clock, log)
    jobs.put(None)
    with warnings.catch_warnings(action="error"):
        await clock.advance(STEP_S)
    assert log == [0.0]


async def test_threads_and_timers_fire_in_one_order(clock):
    log = []

    def sleeper(seconds):
        time.sleep(seconds)
        log.append(seconds)

    for seconds in (7, 3, 5):
        threading.Thread(target=sleeper, args=(seconds,), daemon=True).start()
    for seconds in (4, 6, 2):
        asyncio.get_running_loop().call_later(seconds, log.append, seconds)
    await clock.advance(10)
    assert log == [2, 3, 4, 5, 6, 7]


async def test_a_thread_that_ran_before_the_clock_keeps_real_sleeps(clock, sleeping_before):
    before = sleeping_before()
    for _ in range(100):
        await clock.advance(3600)
    assert clock.now == 360_000
    while sleeping_before() == before:  # it goes on, however far the clock moved
        real_sleep(0.001)


@pytest.fixture
def sleeping_before():
    """A thread that sleeps 5 ms at a time since before the clock was entered."""
    count, stop = [0], threading.Event()

    def job():
        while not stop.is_set():
            time.sleep(0.005)
            count[0] += 1

    thread = threading.Thread(target=job)
    thread.start()
    yield lambda: count[0]
    stop.set()
    thread.join()


async def test_a_thread_that_answers_the_loop_holds_the_clock(clock):
    """A driver with a thread of its own, as aiosqlite has."""
    loop = asyncio.get_running_loop()
    answered = loop.create_future()

    def driver():
        real_work(0.05)
        loop.call_soon_threadsafe(answered.set_result, "row")

    threading.Thread(target=driver, daemon=True).start()
    assert await asyncio.wait_for(answered, timeout=1) == "row"
    assert clock.now == 0


async def test_a_pool_job_nobody_awaits_is_finished_within_its_step(clock):
    done = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for step in range(5):
            pool.submit(lambda: (real_work(), done.append(clock.now)))
            await clock.advance(STEP_S)
            assert len(done) == step + 1


@pytest.mark.parametrize("pool_size", [1, 4])
async def test_jobs_that_queue_behind_sleeping_ones_do_not_hold_the_clock(clock, pool_size):
    with concurrent.futures.ThreadPoolExecutor(pool_size) as pool:
        jobs = [asyncio.wrap_future(pool.submit(time.sleep, 10)) for _ in range(8)]
        await asyncio.gather(*jobs)
    assert clock.now == 80 / pool_size


@pytest.mark.parametrize("tokens", [1, 4])
async def test_jobs_that_queue_behind_a_limiter_do_not_hold_the_clock(clock, tokens):
    limiter = anyio.CapacityLimiter(tokens)
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(partial(anyio.to_thread.run_sync, time.sleep, 10, limiter=limiter))
    assert clock.now == 80 / tokens
    for _ in range(20):
        with anyio.fail_after(5):
            await anyio.to_thread.run_sync(lambda: real_work(0.001), limiter=limiter)
    assert clock.now == 80 / tokens


async def test_jobs_that_wait_for_a_coroutine_do_not_hold_the_clock(clock):
    loop = asyncio.get_running_loop()

    def through_asyncio():
        asyncio.run_coroutine_threadsafe(asyncio.sleep(1000), loop).result()

    def through_anyio():
        anyio.from_thread.run(anyio.sleep, 1000)

    await asyncio.to_thread(through_asyncio)
    await anyio.to_thread.run_sync(through_anyio)
    assert clock.now == pytest.approx(2000, abs=1)


@pytest.mark.clock(patience=0.2)
async def test_a_job_that_only_waits_is_named_once_and_no_longer_waited_for(clock):
    stop = threading.Event()

    def waits_for_ever():
        stop.wait()

    job = asyncio.create_task(asyncio.to_thread(waits_for_ever))
    with pytest.warns(SimulatedTimeWarning, match=r"job .*waits_for_ever \(.*test_threads.py:\d+\)") as seen:
        await clock.advance(STEP_S)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    with warnings.catch_warnings(action="error"):
        for _ in range(4):
            await clock.advance(STEP_S)
    assert clock.now == 5 * STEP_S
    stop.set()
    await job


async def test_joining_a_thread_that_sleeps_does_not_hang(clock):
    thread = threading.Thread(target=time.sleep, args=(3000,))
    thread.start()
    thread.join()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(time.sleep, 3000).result()
    assert clock.now == 6000


async def test_leaving_ends_every_sleep(clock):
    thread = threading.Thread(target=time.sleep, args=(10**6,))
    thread.start()
    await clock.advance(1)
    clock.leave()
    thread.join()


async def test_a_thread_that_ended_is_let_go(clock):
    gone = []
    for _ in range(3):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        gone.append(weakref.ref(thread))
        del thread
    await clock.advance(60)
    gc.collect()
    assert [reference() for reference in gone] == [None, None, None]


async def test_a_weak_reference_that_the_app_keeps_is_made_by_the_app(clock):
    """A plain one is shared by all who ask: made here first, a leak of references would count for this clock."""
    thread = threading.Thread(target=int)
    thread.start()
    plain = [ref for ref in weakref.getweakrefs(thread) if type(ref) is weakref.ref and ref.__callback__ is None]
    thread.join()
    assert plain == []
