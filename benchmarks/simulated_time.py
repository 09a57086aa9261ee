"""What simulated time costs, beside looptime where both can do the job.

    python -m benchmarks.simulated_time

Needs looptime, fastapi, httpx and cachetools. Every number is the median of several runs in this process on
this machine; pairs are measured alternately, and what counts is their ratio.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
import cachetools
import httpx
import looptime
from fastapi import FastAPI
from tabulate import tabulate

from pytest_memleak.simtime import SimulatedClock, SimulatedLoop, install, real_perf_counter

DAY_S, STEP_S, JOB_S = 86_400, 60, 300
STEPS = DAY_S // STEP_S
REPEATS = 7

Advance = Callable[[float], Awaitable[None]]
Scenario = Callable[[Advance], Coroutine[Any, Any, float]]


def on_simulated_time(scenario: Scenario) -> float:
    """Run a scenario under SimulatedClock; `advance` takes the absolute simulated second."""

    async def body() -> float:
        async with SimulatedClock() as clock:
            return await scenario(clock.advance_to)

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(body())


def on_looptime(scenario: Scenario) -> float:
    """Run a scenario on looptime's loop, where advancing means to sleep until then."""

    async def body() -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()

        async def advance_to(seconds: float) -> None:
            await asyncio.sleep(max(0.0, started + seconds - loop.time()))

        return await scenario(advance_to)

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(body())


def median_ms(run: Callable[[Scenario], float], scenario: Scenario, per: int = 1) -> float:
    """The median real time of a scenario in milliseconds, divided by `per`."""
    return statistics.median(run(scenario) for _ in range(REPEATS)) * 1e3 / per


async def day_with_a_job(advance: Advance) -> float:
    """1,440 steps of a minute, one background task every 300 s."""
    runs = 0

    async def job() -> None:
        nonlocal runs
        while True:
            await asyncio.sleep(JOB_S)
            runs += 1

    task = asyncio.create_task(job())
    await asyncio.sleep(0)
    started = real_perf_counter()
    for step in range(STEPS):
        await advance((step + 1) * STEP_S)
    spent = real_perf_counter() - started
    task.cancel()
    if runs < DAY_S // JOB_S - 1:
        raise AssertionError(f"the job ran {runs} times")
    return spent


async def nothing_due(advance: Advance) -> float:
    """Advance a minute where no timer is set."""
    started = real_perf_counter()
    for step in range(STEPS):
        await advance((step + 1) * STEP_S)
    return real_perf_counter() - started


async def timer_jumps(_advance: Advance) -> float:
    """One jump to the next timer: asyncio.sleep(1)."""
    started = real_perf_counter()
    for _ in range(STEPS):
        await asyncio.sleep(1)
    return real_perf_counter() - started


def request_ratio(path: str, *, alternations: int = 15, requests: int = 100) -> tuple[float, float, float]:
    """Requests with and without an advance after each, alternately: two medians in ms, the median ratio."""
    app = FastAPI()

    @app.get("/async")
    async def in_loop() -> dict[str, str]:
        return {}

    @app.get("/def")
    def in_thread() -> dict[str, str]:
        return {}

    async def body() -> tuple[float, float, float]:
        transport = httpx.ASGITransport(app)
        async with (
            SimulatedClock() as clock,
            httpx.AsyncClient(transport=transport, base_url="http://t") as client,
        ):

            async def spent_s(advance: bool) -> float:
                started = real_perf_counter()
                for _ in range(requests):
                    await client.get(path)
                    if advance:
                        await clock.advance(STEP_S)
                return real_perf_counter() - started

            await spent_s(True)
            pairs = [(await spent_s(False), await spent_s(True)) for _ in range(alternations)]
        ratio = statistics.median(with_s / without_s for without_s, with_s in pairs)
        without, with_ = (statistics.median(side) * 1e3 / requests for side in zip(*pairs, strict=True))
        return without, with_, ratio

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(body())


async def cache_expires(advance: Advance) -> float:
    """Whether a cachetools.TTLCache(ttl=300) has expired after ten simulated minutes: 1.0 or 0.0."""
    cache: cachetools.TTLCache[str, int] = cachetools.TTLCache(maxsize=10, ttl=300)
    cache["key"] = 1
    await advance(600)
    return float("key" not in cache)


async def wall_clock_moves(advance: Advance) -> float:
    """How many seconds time.time() moves while 3,600 simulated seconds pass."""
    before = time.time()
    await advance(3600)
    return round(time.time() - before, 1)


async def thread_job_keeps_its_timeout(_advance: Advance) -> float:
    """How many of 20 real 20 ms jobs of anyio (FastAPI's def endpoints) survive a timeout of 5 s."""

    def job() -> None:
        until = real_perf_counter() + 0.02
        while real_perf_counter() < until:
            pass

    survived = 0
    for _ in range(20):
        with anyio.move_on_after(5) as scope:
            await anyio.to_thread.run_sync(job)
        survived += not scope.cancelled_caught
    return float(survived)


async def socket_keeps_its_timeout(_advance: Advance) -> float:
    """How many of 20 loopback answers of 20 ms arrive within a timeout of 1 s."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", ECHO, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None, "stdout=PIPE"
    port = int(await child.stdout.readline())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    survived = 0
    with contextlib.suppress(TimeoutError):
        for _ in range(20):
            writer.write(b"x")
            async with asyncio.timeout(1):
                await reader.readexactly(1)
            survived += 1
    writer.close()
    child.kill()
    await child.wait()
    return float(survived)


ECHO = """
import socket, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
while data := connection.recv(100):
    time.sleep(0.02)
    connection.sendall(data)
"""


def costs() -> str:
    """The table of real milliseconds."""
    rows = []
    for name, scenario, per in (
        ("a day: 1,440 steps, one 300 s job (ms)", day_with_a_job, 1),
        ("one advance with nothing due (ms)", nothing_due, STEPS),
        ("one timer jump (ms)", timer_jumps, STEPS),
    ):
        ours, theirs = median_ms(on_simulated_time, scenario, per), median_ms(on_looptime, scenario, per)
        rows.append((name, f"{ours:.4g}", f"{theirs:.4g}", f"{ours / theirs:.2f}"))
    return tabulate(rows, headers=("what", "simulated time", "looptime", "ratio"), disable_numparse=True)


def requests() -> str:
    """The table of requests with and without advance."""
    rows = []
    for path in ("/async", "/def"):
        without, with_, ratio = request_ratio(path)
        rows.append((f"FastAPI request {path} (ms)", f"{without:.3f}", f"{with_:.3f}", f"{ratio:.3f}"))
    return tabulate(rows, headers=("what", "alone", "with advance(60)", "median ratio"), disable_numparse=True)


def correctness() -> str:
    """The table of what each one gets right."""
    cases: tuple[tuple[str, Scenario, float], ...] = (
        ("TTLCache(ttl=300) expired after 600 s (1 = yes)", cache_expires, 1),
        ("time.time() moved in 3,600 s (s)", wall_clock_moves, 3600),
        ("20 ms def endpoints within timeout 5 s (of 20)", thread_job_keeps_its_timeout, 20),
        ("20 ms socket answers within timeout 1 s (of 20)", socket_keeps_its_timeout, 20),
    )
    rows = []
    for name, scenario, right in cases:
        ours, theirs = on_simulated_time(scenario), on_looptime(scenario)
        wrong = "" if theirs == right else f"{theirs:g} instead of {right:g}"
        rows.append((name, f"{right:g}", f"{ours:g}", f"{theirs:g}", wrong))
    headers = ("what", "right", "simulated time", "looptime", "what looptime gets wrong")
    return tabulate(rows, headers=headers, disable_numparse=True)


def main() -> None:
    """Print all tables."""
    install()
    for title, table in (("Cost", costs()), ("Requests", requests()), ("Correctness", correctness())):
        sys.stdout.write(f"\n{title}\n{table}\n")


if __name__ == "__main__":
    main()
