"""What the app reads: every clock, however it got hold of it."""

import datetime as dt
import functools
import multiprocessing
import os
import pickle
import time
import uuid
import warnings
from concurrent.futures import ProcessPoolExecutor
from time import monotonic as captured_monotonic

import anyio
import cachetools
import pytest

from pytest_memleak.simtime import real_monotonic

from .fresh import in_a_fresh_process

BUILT_BEFORE = cachetools.TTLCache(maxsize=1000, ttl=300)
partial_clock = functools.partial(captured_monotonic)


async def test_all_clocks_agree(clock):
    import asyncio

    loop = asyncio.get_running_loop()

    def read():
        return (
            time.time(),
            time.time_ns() / 1e9,
            time.monotonic(),
            time.monotonic_ns() / 1e9,
            time.perf_counter(),
            time.perf_counter_ns() / 1e9,
            captured_monotonic(),
            partial_clock(),
            time.clock_gettime(time.CLOCK_REALTIME),
            dt.datetime.now().timestamp(),
            dt.datetime.now(dt.UTC).timestamp(),
            time.mktime(time.localtime()),
            loop.time(),
            anyio.current_time(),
        )

    before = read()
    await clock.advance(12_345)
    moved = [after - now for after, now in zip(read(), before, strict=True)]
    assert moved == pytest.approx([12_345] * len(before), abs=2e-6)
    assert uuid.uuid1().time / 1e7 - 12_219_292_800 == pytest.approx(time.time(), abs=1e-3)


async def test_log_records_carry_simulated_time(clock, caplog):
    import logging

    logging.getLogger("app").warning("before")
    await clock.advance(3600)
    logging.getLogger("app").warning("after")
    before, after = (record.created for record in caplog.records[-2:])
    assert after - before == pytest.approx(3600, abs=1e-3)


@pytest.mark.parametrize("start", [dt.datetime(2030, 1, 1, tzinfo=dt.UTC), 1_893_456_000, "2030-01-01T00:00:00+00:00"])
def test_the_wall_clock_can_start_anywhere(start):
    from pytest_memleak.simtime import SimulatedClock

    with SimulatedClock(start=start) as clock:
        clock.advance_sync(3600)
        assert dt.datetime.now(dt.UTC) == dt.datetime(2030, 1, 1, 1, tzinfo=dt.UTC)
    assert dt.datetime.now(dt.UTC).year != 2030


@pytest.mark.parametrize("built", ["before", "after"])
async def test_a_ttl_cache_expires_at_its_ttl_and_plateaus(clock, built):
    cache = BUILT_BEFORE if built == "before" else cachetools.TTLCache(maxsize=1000, ttl=300)
    cache["key"] = 1
    await clock.advance(299)
    assert "key" in cache
    await clock.advance(1)
    assert "key" not in cache
    sizes = []
    for step in range(1440):
        cache[step] = bytes(10)
        sizes.append(len(cache))
        await clock.advance(60)
    assert max(sizes) <= 6


async def test_a_class_may_keep_a_clock_as_an_attribute(clock):
    class Limiter:
        clock = time.monotonic
        pause = time.sleep

    limiter = Limiter()
    before = limiter.clock()
    await clock.advance(5)
    limiter.pause(2)
    assert limiter.clock() - before == 7


async def test_clock_functions_can_be_pickled_for_other_processes(clock):
    assert pickle.loads(pickle.dumps(time.sleep)) == time.sleep
    assert b"simtime" not in pickle.dumps(time.sleep)


async def test_a_forked_child_keeps_real_time(clock):
    reader, writer = os.pipe()
    with warnings.catch_warnings():  # from 3.12 on, forking beside another thread (the watchdog) warns
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        started = real_monotonic()
        time.sleep(0.01)
        os.write(writer, b"real" if real_monotonic() - started >= 0.01 and time.time() > 0 else b"simulated")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 20) == b"real"
    os.close(reader)
    os.close(writer)
    await clock.advance(60)
    assert clock.now == 60


async def test_a_process_pool_works_and_holds_the_clock(clock):
    import asyncio

    async def ticking():
        while True:
            await asyncio.sleep(0.01)

    ticker = asyncio.create_task(ticking())
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.run_in_executor(pool, pow, 2, 10), 5) == 1024
    ticker.cancel()
    assert clock.now < 1


def test_what_captured_a_clock_before_install_is_rebound():
    in_a_fresh_process(
        """
        import time, dataclasses, cachetools
        from time import monotonic, perf_counter as timer

        built_before = cachetools.TTLCache(maxsize=10, ttl=300)
        built_before["key"] = 1

        def default(clock=time.monotonic, *, other=time.monotonic):
            return clock() - other()

        class Kept:
            clock = time.monotonic
            def __init__(self):
                self.timer = time.monotonic

        def closure():
            clock = time.monotonic
            return lambda: clock()

        kept, closed = Kept(), closure()
        from pytest_memleak.simtime import SimulatedClock, real_monotonic
        with SimulatedClock() as clock:
            reads = (monotonic, kept.timer, Kept.clock, kept.clock, closed, timer)
            before = [read() for read in reads]
            clock.advance_sync(300)
            assert [read() - start for read, start in zip(reads, before)] == [300.0] * 6
            assert default() == 0
            assert default.__defaults__[0] is time.monotonic
            assert "key" not in built_before
            assert real_monotonic() < time.monotonic()
        """
    )


def test_importing_the_package_is_cheap_and_changes_nothing():
    in_a_fresh_process(
        """
        import sys, time
        before = dict(vars(time))
        from pytest_memleak.simtime import install, real_monotonic, real_perf_counter, real_sleep
        for heavy in ("time_machine", "asyncio", "httpx", "anyio", "pytest"):
            assert heavy not in sys.modules, heavy
        assert vars(time) == before
        import pytest_memleak.simtime.clock
        assert "time_machine" not in sys.modules and "pytest" not in sys.modules
        """
    )


def test_uninstall_restores_everything_but_a_lead_of_monotonic():
    in_a_fresh_process(
        """
        import asyncio, concurrent.futures, subprocess, time
        from time import sleep as captured
        before, loop_time = dict(vars(time)), asyncio.BaseEventLoop.time
        from pytest_memleak.simtime import SimulatedClock, install, uninstall

        install(); install()
        from time import perf_counter as captured_later
        assert captured is time.sleep is not before["sleep"]
        uninstall(); uninstall()
        assert vars(time) == before
        assert captured is time.sleep and captured_later is time.perf_counter
        assert asyncio.BaseEventLoop.time is loop_time
        assert concurrent.futures._base.time is subprocess.time is time

        with SimulatedClock() as clock:
            clock.advance_sync(86_400)
            simulated = time.monotonic()
            try:
                uninstall()
            except RuntimeError as error:
                assert "Leave the clock first" in str(error)
            else:
                raise AssertionError
        uninstall()
        assert time.monotonic() >= simulated
        changed = {name for name in before if vars(time)[name] is not before[name]}
        assert changed == {"monotonic", "monotonic_ns"}, changed
        """
    )


def test_waiting_code_of_the_standard_library_keeps_real_time():
    in_a_fresh_process(
        """
        import concurrent.futures, multiprocessing.connection, queue, threading
        from pytest_memleak.simtime import SimulatedClock
        with SimulatedClock() as clock:
            raised, pending = [], concurrent.futures.Future()
            def waits():
                for wait in (
                    lambda: queue.Queue().get(timeout=0.01),
                    lambda: list(concurrent.futures.as_completed([pending], timeout=0.01)),
                ):
                    try:
                        wait()
                    except Exception as error:
                        raised.append(type(error).__name__)
                multiprocessing.connection.wait([multiprocessing.Pipe()[0]], timeout=0.01)
                raised.append("nothing ready")
            thread = threading.Thread(target=waits)
            thread.start()
            thread.join()
            assert raised == ["Empty", "TimeoutError", "nothing ready"], raised
            assert clock.now < 1
        """
    )
