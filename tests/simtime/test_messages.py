"""What goes wrong says what, how much, where, and what to do."""

import asyncio
import time
import warnings

import freezegun
import pytest
import time_machine
import uvloop

from pytest_memleak.simtime import SimulatedClock, SimulatedLoop, SimulatedTimeError, SimulatedTimeWarning

WAY_OUT = r"turn simulated time off \(@pytest\.mark\.memleak\(simulate_time=False\)"


@pytest.mark.parametrize(
    ("factory", "name"),
    [
        (uvloop.new_event_loop, r"uvloop\.Loop, whose timers are C code"),
        (asyncio.new_event_loop, r"_UnixSelectorEventLoop, whose timers follow the real clock"),
    ],
)
def test_a_foreign_loop(factory, name):
    async def enter():
        async with SimulatedClock():
            pass

    with (
        asyncio.Runner(loop_factory=factory) as runner,
        pytest.raises(SimulatedTimeError, match=rf"own event loop; this test runs on .*{name}.*{WAY_OUT}"),
    ):
        runner.run(enter())


async def test_a_timer_storm_names_who_sets_the_timers(clock):
    async def millisecond_ticker():
        while True:
            await asyncio.sleep(0.001)

    ticker = asyncio.create_task(millisecond_ticker())
    with pytest.raises(
        SimulatedTimeError,
        match=r"timer storm: 20,001 wake-ups .*millisecond_ticker \(.*messages\.py:\d+\).*resolution=1\.0",
    ):
        await clock.advance(60)
    ticker.cancel()
    await clock.advance(60)


@pytest.mark.clock(longest_busy=0.2)
async def test_a_spinner_is_named(clock):
    async def spinner():
        while True:
            await asyncio.sleep(0)

    task = asyncio.create_task(spinner())
    with pytest.raises(SimulatedTimeError, match=r"did not become idle in .*spinner \(.*test_messages\.py:\d+\)"):
        await clock.advance(60)
    task.cancel()
    await clock.advance(60)


@pytest.mark.clock(longest_busy=0.1)
async def test_a_spinner_outside_advance_lets_time_flow(clock):
    async def spinner():
        while True:
            await asyncio.sleep(0)

    task = asyncio.create_task(spinner())
    await asyncio.sleep(0.05)
    task.cancel()
    assert clock.now >= 0.05
    with pytest.warns(SimulatedTimeWarning, match="flows like real time"):
        await clock.advance(1)


@pytest.mark.clock(longest_iteration=100.0)
async def test_an_iteration_that_takes_too_long_goes_on_in_real_time(clock):
    async def waits():
        for _ in range(10):
            await asyncio.sleep(10)
        await asyncio.sleep(0.01)

    await waits()
    assert 100.01 <= clock.now < 110
    with pytest.warns(SimulatedTimeWarning, match=r"used up 100 simulated seconds.*waits \(.*test_messages\.py:\d+\)"):
        await clock.advance(1)


async def test_a_blocked_loop_lets_time_flow_and_prints_where(clock, monkeypatch, capsys):
    monkeypatch.setattr("pytest_memleak.simtime.watchdog.SAYS_SO_AFTER_S", 0.2)
    monkeypatch.setattr("pytest_memleak.simtime.watchdog.FLOWS_AFTER_S", 0.1)

    def deadline_loop():
        until = time.monotonic() + 0.7
        while time.monotonic() < until:
            pass

    deadline_loop()
    stderr = capsys.readouterr().err
    assert "MainThread has been blocked" in stderr
    assert "in deadline_loop" in stderr


async def test_a_second_clock(clock):
    await clock.advance(5)
    with pytest.raises(
        SimulatedTimeError, match="already running: it was entered in thread MainThread and stands at 5"
    ):
        async with SimulatedClock():
            pass


async def test_with_instead_of_async_with(clock):
    with pytest.raises(SimulatedTimeError, match="Use `async with SimulatedClock"), SimulatedClock():
        pass


async def test_advance_from_two_tasks(clock):
    first = asyncio.create_task(clock.advance(60), name="first")
    await asyncio.sleep(0)
    with pytest.raises(SimulatedTimeError, match=r"while first is still advancing to 60 simulated s"):
        await clock.advance(1)
    await first
    assert clock.now == 60


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_time_only_goes_forward(clock, seconds):
    with pytest.raises(SimulatedTimeError, match="only goes forward"):
        await clock.advance(seconds)
    with pytest.raises(SimulatedTimeError, match=r"instead of advance_sync"):
        clock.advance_sync(1)


@pytest.mark.parametrize(
    ("foreign", "message"),
    [
        (freezegun.freeze_time, "freezegun is active"),
        (time_machine.travel, r"time_machine\.travel\(\) of the test or the app is active"),
    ],
)
def test_a_foreign_clock_on_entering_and_in_the_middle(foreign, message):
    with (
        foreign("2030-01-01"),
        pytest.raises(SimulatedTimeError, match=rf"{message}.*{WAY_OUT}"),
        SimulatedClock(),
    ):
        pass
    with SimulatedClock() as clock:
        clock.advance_sync(1)
        with foreign("2030-01-01"), pytest.raises(SimulatedTimeError, match=rf"{message} since.*{WAY_OUT}"):
            clock.advance_sync(1)
        clock.advance_sync(1)
        assert clock.now == 2


def test_leaving_inside_a_travel_of_the_app_keeps_that_travel():
    travel = time_machine.travel(0, tick=False)
    with SimulatedClock():
        travel.start()
    assert time.time() == 0
    travel.stop()
    assert time.time() > 1e9


def test_warnings_turned_into_errors_come_out_of_advance():
    async def body():
        async with SimulatedClock(patience=0.05) as clock:
            asyncio.get_running_loop().create_future()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with pytest.raises(SimulatedTimeWarning, match=r"a future made by .*body"):
                    await clock.advance(1)
            await clock.advance(1)
            assert clock.now == 2

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(body())


def test_a_failing_test_carries_the_warnings_as_notes():
    async def body():
        async with SimulatedClock(patience=0.05):
            never = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(never, 5)

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner, pytest.raises(TimeoutError) as failure:
        runner.run(body())
    assert "no longer waits for it" in failure.value.__notes__[0]


@pytest.mark.clock(patience=0.1)
async def test_a_future_completed_by_a_timer_is_learned(clock):
    loop = asyncio.get_running_loop()

    async def batch():
        future = loop.create_future()
        loop.call_later(1, future.set_result, None)
        await future

    for _ in range(50):
        await batch()
    assert clock.now == pytest.approx(50)
    with pytest.warns(SimulatedTimeWarning) as seen:
        await clock.advance(1)
    assert len(seen) == 1
