"""What simulated time says when it cannot do its work: the fact, the number, the place, the remedy."""

from __future__ import annotations


class SimulatedTimeError(RuntimeError):
    """Simulated time cannot start or cannot move; the message says why and what to do."""


class SimulatedTimeWarning(UserWarning):
    """Simulated time goes on, but no longer exactly as promised."""


TURN_OFF = "turn simulated time off (@pytest.mark.memleak(simulate_time=False) or --memcheck-no-simulated-time)"

WRONG_LOOP = (
    "simulated time needs its own event loop; this test runs on {loop}, whose {whose}. "
    "Use pytest_memleak.simtime.SimulatedLoop as the loop factory of this test, or " + TURN_OFF + "."
)
LOOP_RUNS = (
    "SimulatedClock was entered with `with` inside the running event loop {loop}. Use `async with SimulatedClock()`."
)
ENTERED_TWICE = (
    "a simulated clock is already running: it was entered in thread {thread} and stands at {now_s:g} "
    "simulated s. One process has one clock: use that one, or leave it first."
)
USED_UP = "this SimulatedClock was entered before. Each one runs once: make a new one."
NOT_ENTERED = "this simulated clock is not running. Call it inside `async with` (or `with`) SimulatedClock()."
USE_SYNC = (
    "this clock was entered with `with`, without an event loop. Call {name}_sync(...) instead of `await {name}(...)`."
)
USE_ASYNC = "this clock runs an event loop. Use `await {name}(...)` instead of {name}_sync(...)."
WRONG_THREAD = "{name}() was called in thread {thread}, but the clock was entered in {owner}. Call it there."
ADVANCED_TWICE = (
    "advance was called by {second} while {first} is still advancing to {target_s:g} simulated s. "
    "Only one task may move the clock: await the first call before the next."
)
NOT_FORWARD = "simulated time only goes forward: {name}({seconds:g}) does not. Pass 0 or more seconds."
FREEZEGUN = (
    "freezegun is active{when}: it replaces the clocks that simulated time moves. "
    "Leave freeze_time() before the memory check, or " + TURN_OFF + "."
)
TRAVEL = (
    "a time_machine.travel() of the test or the app is active{when}: the wall clock shows {shown_s:.3f}, "
    "which simulated time does not move. Pass SimulatedClock(start=...) instead, or leave travel() first, or "
    + TURN_OFF
    + "."
)
TIMER_STORM = (
    "timer storm: {wakeups:,} wake-ups within {moved_s:.3g} simulated s; most timers are set by {culprit}. "
    'Pass a coarser clock: resolution=1.0 (marker: resolution="1s") coalesces timers, or ' + TURN_OFF + "."
)
SPINNER = (
    "the event loop did not become idle in {passes:,} passes ({real_s:.1f} s real), so simulated time cannot "
    "move: a task spins, as in `while True: await asyncio.sleep(0)`. Running tasks: {tasks}. "
    "Make it wait for something, or " + TURN_OFF + "."
)
SPINNER_FLOWS = (
    "the event loop did not become idle in {passes:,} passes ({real_s:.1f} s real): simulated time now flows "
    "like real time until it does. Running tasks: {tasks}. Make the spinning task wait for something, or "
    + TURN_OFF
    + "."
)
STILL_RUNNING = (
    "{work} is still running after {real_s:g} s of real time; the simulated clock no longer waits for it, so "
    "timeouts around it may expire. Give it longer (patience=...), replace it in the test, or " + TURN_OFF + "."
)
LONG_ITERATION = (
    "one iteration used up {limit_s:,g} simulated seconds without finishing; from here on it runs in real "
    "time. Waiting tasks: {tasks}. Shorten what the iteration waits for, or " + TURN_OFF + "."
)
BLOCKED = (
    "simulated time: {thread} has been blocked for {real_s:.0f} s (real) by one call; "
    "simulated time flows like real time meanwhile. It is here:\n{stack}"
)
