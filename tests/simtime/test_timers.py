"""Timers of the event loop: exact, in order, and never early because of real work."""

import asyncio
import contextlib
import time

import anyio
import httpx
import pytest
from fastapi import FastAPI

from .fresh import in_a_fresh_process

DAY_S = 86_400
STEP_S = 60


async def a_day(clock):
    for step in range(DAY_S // STEP_S):
        await clock.advance_to((step + 1) * STEP_S)


@contextlib.asynccontextmanager
async def in_background(coroutine):
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def ticking(interval_s, ticked):
    while True:
        await asyncio.sleep(interval_s)
        ticked()


async def test_a_five_minute_job_runs_288_times_a_day(clock):
    runs = []
    async with in_background(ticking(300, lambda: runs.append(clock.now))):
        await a_day(clock)
    assert runs == [300.0 * run for run in range(1, 289)]
    assert clock.now == DAY_S


async def test_fractions_of_seconds_do_not_add_up_to_an_error(clock):
    runs = []
    async with in_background(ticking(0.1, lambda: runs.append(clock.now))):
        for step in range(60):
            await clock.advance_to((step + 1) * STEP_S)
    assert len(runs) == 36_000
    assert runs[-1] == pytest.approx(3600, abs=1e-6)


async def test_requests_that_sleep_do_not_shift_the_grid(clock):
    runs = []
    async with in_background(ticking(300, lambda: runs.append(clock.now))):
        for step in range(60):
            await asyncio.sleep(7.3)
            await clock.advance_to((step + 1) * STEP_S)
    assert runs == [300.0 * run for run in range(1, 13)]


async def test_an_endpoint_that_sleeps_costs_simulated_time(clock):
    app = FastAPI()

    @app.get("/")
    async def slow():
        await asyncio.sleep(0.5)

    @app.get("/hour")
    async def an_hour():
        await asyncio.sleep(3599)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        await client.get("/")
        assert clock.now == 0.5
        await client.get("/hour")
    assert clock.now == 3599.5


async def test_timers_fire_in_order_each_settled_before_the_next(clock):
    log = []

    async def at(seconds):
        await asyncio.sleep(seconds)
        for _ in range(5):
            await asyncio.sleep(0)
        log.append((seconds, clock.now))

    async with asyncio.TaskGroup() as group:
        for seconds in (30, 5, 59.5, 5.001, 61):
            group.create_task(at(seconds))
        await asyncio.sleep(0)
        await clock.advance(60)
        assert log == [(5, 5.0), (5.001, 5.001), (30, 30.0), (59.5, 59.5)]
        await clock.advance(60)
    assert log[-1] == (61, 61.0)


async def test_timeouts_expire_at_their_simulated_time(clock):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 5)
    assert clock.now == 5
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asyncio.sleep(7)
    with pytest.raises(TimeoutError), anyio.fail_after(2):
        await anyio.sleep(3)
    queue, condition = asyncio.Queue(), asyncio.Condition()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 8)
    with pytest.raises(TimeoutError):
        async with condition, asyncio.timeout(10):
            await condition.wait()
    assert clock.now == pytest.approx(30)


async def test_nested_task_groups_overlap(clock):
    async def group(depth):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(10 * depth))
            if depth:
                tasks.create_task(group(depth - 1))

    await group(4)
    assert clock.now == 40
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 3)
        tasks.start_soon(anyio.sleep, 2)
    assert clock.now == 43


async def test_cancelled_timers_leave_no_trace(clock):
    loop = asyncio.get_running_loop()
    fired = []
    for delay in range(1, 500):
        loop.call_later(delay, fired.append, delay).cancel()
    loop.call_later(0, fired.append, 0)
    await clock.advance(1000)
    assert fired == [0]
    assert clock.now == 1000


async def test_call_later_zero_chains_do_not_move_the_clock(clock):
    loop, calls = asyncio.get_running_loop(), []

    def again():
        calls.append(clock.now)
        if len(calls) < 1000:
            loop.call_later(0, again)

    again()
    await clock.advance(1)
    assert len(calls) == 1000
    assert max(calls) < 1e-5


async def test_an_async_generator_can_be_a_background_job(clock):
    async def ticks():
        while True:
            await asyncio.sleep(60)
            yield clock.now

    seen = []

    async def consume():
        async for tick in ticks():
            seen.append(tick)

    async with in_background(consume()):
        await clock.advance_to(600)
    assert seen == [60.0 * tick for tick in range(1, 11)]


async def test_a_timer_set_before_the_target_by_a_timer_fires_too(clock):
    loop, log = asyncio.get_running_loop(), []
    loop.call_later(59, lambda: loop.call_later(1, lambda: log.append(clock.now)))
    await clock.advance(60)
    assert log == [60.0]


async def test_a_target_in_the_past_only_settles(clock):
    await clock.advance(100)
    log = []
    asyncio.get_running_loop().call_later(0, log.append, 1)
    await clock.advance_to(50)
    assert (clock.now, log) == (100, [1])


@pytest.mark.clock(resolution=1.0)
async def test_resolution_coalesces_fast_tickers_and_keeps_slow_ones_exact(clock):
    fast, slow = [], []
    async with (
        in_background(ticking(0.001, lambda: fast.append(clock.now))),
        in_background(ticking(300, lambda: slow.append(clock.now))),
    ):
        for step in range(60):
            await clock.advance_to((step + 1) * STEP_S)
    assert fast == [float(second) for second in range(1, 3601)]
    assert slow == [300.0 * run for run in range(1, 13)]


def test_the_clock_itself_grows_nothing():
    in_a_fresh_process(
        """
        import asyncio, gc
        from pytest_memleak.simtime import SimulatedClock, SimulatedLoop

        kept = []

        async def job():
            while True:
                await asyncio.sleep(300)

        async def run(steps):
            async with SimulatedClock() as clock:
                kept.append(clock)
                task = asyncio.create_task(job())
                for _ in range(steps):
                    await clock.advance(60)
                task.cancel()

        def objects():
            gc.collect()
            return len(gc.get_objects())

        def objects_added_by(steps):
            before = objects()
            with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
                runner.run(run(steps))
            return objects() - before

        objects_added_by(100)
        assert objects_added_by(7_200) == objects_added_by(100)
        """
    )


async def test_a_callback_that_sleeps_moves_the_clock(clock):
    async def blocking():
        await asyncio.sleep(10)
        time.sleep(100)
        return clock.now

    task = asyncio.create_task(blocking())
    await clock.advance_to(60)
    assert await task == 110
    assert clock.now == 110
    await clock.advance_to(120)
    assert clock.now == 120
