"""Wait until what is closing has closed: a closing socket is not a leak."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence

Levels = Callable[[], Sequence[int]]
Sleep = Callable[[float], object]

FIRST_PAUSE_S = 0.005
PATIENCE_S = 0.15
LIMIT_S = 1.0
_LOOP_PASSES = 10


async def settle_loop(levels: Levels, calm: Sequence[int], sleep: Sleep) -> None:
    """Let the running loop go idle, and wait until the counts stop falling.

    It takes no time when all counts are at most the calm ones, else up to `PATIENCE_S` of real
    time after the last fall, at most about `LIMIT_S`.

    Args:
        levels: reads the counts.
        calm: the counts when the run began.
        sleep: sleeps in real seconds; it blocks, the loop gets its turns in between. Its turns
            are ``asyncio.sleep(0)``, which moves no clock.
    """
    for _ in range(_LOOP_PASSES):
        await asyncio.sleep(0)
    for _ in _pauses(levels, calm, sleep):
        for _ in range(_LOOP_PASSES):
            await asyncio.sleep(0)


def settle_threads(levels: Levels, calm: Sequence[int], sleep: Sleep) -> None:
    """The same where no loop runs: threads and child processes may still be ending."""
    for _ in _pauses(levels, calm, sleep):
        pass


def _pauses(levels: Levels, calm: Sequence[int], sleep: Sleep) -> Iterator[None]:
    """Sleep ever longer between readings, and stop when waiting has stopped helping."""
    if _are_calm(levels(), calm):
        return
    gc.collect()  # a client in a reference cycle is dropped, not open
    lowest = list(levels())
    pause_s = FIRST_PAUSE_S
    waited_s = in_vain_s = 0.0
    while waited_s < LIMIT_S and in_vain_s < PATIENCE_S:
        if _are_calm(lowest, calm):
            return
        sleep(pause_s)
        waited_s += pause_s
        in_vain_s += pause_s
        pause_s *= 2
        yield
        now = list(levels())
        if any(level < low for level, low in zip(now, lowest, strict=True)):
            in_vain_s = 0.0
            pause_s = FIRST_PAUSE_S
        lowest = [min(pair) for pair in zip(now, lowest, strict=True)]


def _are_calm(levels: Sequence[int], calm: Sequence[int]) -> bool:
    return all(level <= quiet for level, quiet in zip(levels, calm, strict=True))
