"""The clock is a guest: whatever happens, everything is real again afterwards."""

import asyncio
import concurrent.futures
import contextlib
import datetime as dt
import threading
import time

import anyio._backends._asyncio
import pytest

from pytest_memleak.simtime import SimulatedClock, SimulatedLoop, real_monotonic, real_perf_counter

PATCHED = [
    (threading.Thread, "start"),
    (concurrent.futures.ThreadPoolExecutor, "submit"),
    (anyio._backends._asyncio.AsyncIOBackend, "run_sync_in_worker_thread"),
]


@pytest.fixture(autouse=True)
def everything_is_real_again():
    before = [vars(owner)[name] for owner, name in PATCHED]
    threads = set(threading.enumerate())
    yield
    assert [vars(owner)[name] for owner, name in PATCHED] == before
    assert abs(time.perf_counter() - real_perf_counter()) < 1
    assert abs(time.time() - dt.datetime.now().timestamp()) < 1
    assert dt.datetime.now(dt.UTC).year < 2100
    started = real_monotonic()
    time.sleep(0.01)
    assert real_monotonic() - started >= 0.01
    for thread in set(threading.enumerate()) - threads:
        thread.join(timeout=5)
        assert not thread.is_alive()


def run(coroutine):
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(coroutine)


def test_after_a_day():
    async def day():
        async with SimulatedClock(start=dt.datetime(2200, 1, 1, tzinfo=dt.UTC)) as clock:
            await clock.advance(86_400)

    run(day())


def test_after_an_exception_in_the_middle():
    async def fails():
        async with SimulatedClock() as clock:
            await clock.advance(86_400)
            raise LookupError

    with pytest.raises(LookupError):
        run(fails())


def test_after_a_cancellation_in_the_middle_of_an_advance():
    async def cancelled():
        async def advancing():
            async with SimulatedClock() as clock:
                asyncio.get_running_loop().call_later(50, task.cancel)
                await clock.advance(86_400)

        task = asyncio.create_task(advancing())
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancelled())


def test_an_advance_that_was_cancelled_can_be_repeated():
    async def body():
        async with SimulatedClock() as clock:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(50):
                    await clock.advance(86_400)
            assert clock.now == 50
            await clock.advance(10)
            assert clock.now == 60

    run(body())


def test_after_the_loop_was_closed_with_the_clock_running():
    """As after Ctrl-C: the coroutine that entered is never resumed."""
    loop = SimulatedLoop()

    async def enter():
        await SimulatedClock().__aenter__()

    loop.run_until_complete(enter())
    loop.close()


def test_after_the_app_stopped_the_loop():
    loop = SimulatedLoop()

    async def stops():
        async with SimulatedClock() as clock:
            asyncio.get_running_loop().call_later(5, loop.stop)
            await clock.advance(10)

    task = loop.create_task(stops())
    loop.run_forever()
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_a_patch_made_meanwhile_by_somebody_else_stays():
    """Error trackers wrap Thread.start when the app starts up."""
    calls = []
    with SimulatedClock():
        below = threading.Thread.start

        def tracked(thread):
            calls.append(thread.name)
            below(thread)

        threading.Thread.start = tracked
    try:
        assert threading.Thread.start is tracked
        thread = threading.Thread(target=int, name="later")
        thread.start()
        thread.join()
        assert calls == ["later"]
    finally:
        threading.Thread.start = PATCHED_START


PATCHED_START = threading.Thread.start


def test_monotonic_never_runs_backwards():
    seen = [time.monotonic()]

    async def day():
        async with SimulatedClock() as clock:
            seen.append(time.monotonic())
            await clock.advance(86_400)
            seen.append(time.monotonic())

    for _ in range(3):
        run(day())
        seen.append(time.monotonic())
    with SimulatedClock() as clock:
        seen.append(time.monotonic())
        clock.advance_sync(0.5)
        seen.append(time.monotonic())
    seen.append(time.monotonic())
    assert seen == sorted(seen)
    assert seen[-1] - seen[0] >= 3 * 86_400
    assert abs(time.monotonic_ns() / 1e9 - time.monotonic()) < 1


def test_timers_of_the_loop_survive_the_clock():
    """A timer set in simulated time fires in real time after leaving, not at once and not a day late."""
    fired = []

    async def body():
        loop = asyncio.get_running_loop()
        async with SimulatedClock() as clock:
            await clock.advance(86_400)
            loop.call_later(0.01, lambda: fired.append(loop.time()))
        while not fired:
            await asyncio.sleep(0.005)

    run(body())
    assert len(fired) == 1


def test_a_plain_simulated_loop_is_a_stock_loop():
    async def body():
        started = real_monotonic()
        await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        return real_monotonic() - started

    assert run(body()) >= 0.02
