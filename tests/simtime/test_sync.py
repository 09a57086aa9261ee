"""A clock without an event loop: sync tests, sync apps, threads."""

import asyncio
import threading
import time
import types

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pytest_memleak.simtime import SimulatedClock, SimulatedTimeError, real_monotonic


def test_sleeping_moves_every_clock_and_takes_no_real_time():
    with SimulatedClock() as clock:
        before = time.time(), time.monotonic(), time.perf_counter()
        time.sleep(10_000)
        after = time.time(), time.monotonic(), time.perf_counter()
        assert clock.now == 10_000
        assert [b - a for a, b in zip(before, after, strict=True)] == pytest.approx([10_000] * 3, abs=1e-5)
        time.sleep(0)
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)


def test_a_background_thread_runs_288_times_a_day():
    runs = []

    def job():
        while len(runs) < 10_000:
            time.sleep(300)
            runs.append(time.monotonic())

    with SimulatedClock() as clock:
        entered = time.monotonic()
        threading.Thread(target=job, daemon=True).start()
        for step in range(1440):
            clock.advance_to_sync((step + 1) * 60)
        assert [run - entered for run in runs] == [300.0 * run for run in range(1, 289)]


def test_sleeping_threads_wake_in_order_each_settled_before_the_next():
    log = []

    def sleeper(seconds):
        time.sleep(seconds)
        until = real_monotonic() + 0.01
        while real_monotonic() < until:
            pass
        log.append((seconds, clock.now))

    with SimulatedClock() as clock:
        for seconds in (5, 1, 3, 61):
            threading.Thread(target=sleeper, args=(seconds,), daemon=True).start()
        time.sleep(2)
        assert log == [(1, 1.0)]
        clock.advance_sync(58)
        assert log == [(1, 1.0), (3, 3.0), (5, 5.0)]
        assert clock.now == 60


def test_joining_threads_that_sleep_does_not_hang():
    with SimulatedClock() as clock:
        threads = [threading.Thread(target=time.sleep, args=(seconds,)) for seconds in (1000, 2000, 3000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert clock.now == 3000


def test_a_test_client_is_answered_and_its_loop_keeps_real_time():
    app = FastAPI()

    @app.get("/")
    async def endpoint():
        await asyncio.sleep(0.01)
        return time.monotonic()

    with SimulatedClock() as clock, TestClient(app) as client:
        first = client.get("/").json()
        for _ in range(10):
            clock.advance_sync(60)
        assert client.get("/").json() - first == pytest.approx(600, abs=1)


def test_a_deadline_loop_ends():
    with SimulatedClock():
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass


def test_stock_loops_keep_real_time_during_and_after():
    async def work():
        loop = asyncio.get_running_loop()
        started = loop.time(), real_monotonic()
        await asyncio.sleep(0.01)
        assert await asyncio.wait_for(asyncio.to_thread(int), 5) == 0
        return loop.time() - started[0] == pytest.approx(real_monotonic() - started[1], abs=1e-3)

    with SimulatedClock() as clock:
        clock.advance_sync(86_400)
        assert asyncio.run(work())
    assert asyncio.run(work())

    async def agrees():
        return abs(asyncio.get_running_loop().time() - time.monotonic()) < 1

    assert asyncio.run(agrees())


def test_the_two_ways_of_advancing_are_not_mixed_up():
    with SimulatedClock() as clock:
        with pytest.raises(SimulatedTimeError, match=r"Call advance_sync\(\.\.\.\) instead of `await advance"):
            asyncio.run(clock.advance(1))
        with pytest.raises(SimulatedTimeError, match="already running"):
            clock.__enter__()
    with pytest.raises(SimulatedTimeError, match="not running"):
        clock.advance_sync(1)
    with pytest.raises(SimulatedTimeError, match="Each one runs once"), clock:
        pass


def test_only_the_thread_that_entered_may_advance():
    errors = []

    def other():
        try:
            clock.advance_sync(1)
        except SimulatedTimeError as error:
            errors.append(str(error))

    with SimulatedClock() as clock:
        thread = threading.Thread(target=other, name="other")
        thread.start()
        thread.join()
    assert errors == ["advance() was called in thread other, but the clock was entered in MainThread. Call it there."]


def test_starting_a_thread_that_sleeps_at_once_does_not_move_the_clock():
    woken = []

    def pace():
        time.sleep(300)
        woken.append(clock.now)

    # Thread.start on a busy machine: the thread sleeps already, and the starter has not had its turn yet.
    names = {"begun": threading.Event.wait, "never": threading.Event()}
    late = "def wait(self, timeout=None):\n    begun(self, timeout)\n    return not begun(never, 0.3)\n"
    exec(compile(late, threading.__file__, "exec"), names)
    with SimulatedClock() as clock:
        thread = threading.Thread(target=pace, daemon=True)
        thread._started.wait = types.MethodType(names["wait"], thread._started)
        thread.start()
        assert clock.now == 0
        clock.advance_sync(299)
        assert not woken
        clock.advance_sync(1)
        thread.join()
        assert woken == [300]
