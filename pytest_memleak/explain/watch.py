"""What grew while the iterations ran: three censuses, two stretches of iterations between them.

A collection counts as growing when it grew in both stretches; one resize or one filled slot does
not. The automatic garbage collector is off during the first stretch, so that what ``gc.collect()``
removes at its end are the cycles of known iterations.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pytest_memleak.explain.census import count_types, take_census
from pytest_memleak.explain.static import class_name

K = TypeVar("K")
Step = Callable[[], Awaitable[object]]

# The blocks of pymalloc are 16 to 512 bytes; 96 is the middle the live-bytes sensor uses too.
BYTES_PER_BLOCK = 96
_LOOP_TURNS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What grew, as ids and numbers: nothing is kept alive.

    Args:
        iterations: how many iterations were watched.
        requests: how many requests they sent.
        collections: growth in entries by object id.
        names: growth in entries by (module, name), for what grows by rebinding.
        types: growth in objects by type id; only types that grew in both stretches.
        atexit_callbacks: growth in functions registered with `atexit`.
        cycle_bytes: bytes per iteration that only ``gc.collect()`` freed.
        cycle_types: their types with the number per iteration, the most frequent first.
        uncollectable: the types of what was added to ``gc.garbage``.
        live_bytes: growth of live bytes per iteration in the second stretch; None when nobody reads them.
    """

    iterations: int
    requests: int
    collections: dict[int, int]
    names: dict[tuple[str, str], int]
    types: dict[int, int]
    atexit_callbacks: int
    cycle_bytes: float
    cycle_types: tuple[tuple[str, float], ...]
    uncollectable: tuple[str, ...]
    live_bytes: float | None = None


async def watch(
    step: Step, requests: Callable[[], int], iterations: int, live: Callable[[], float] | None = None
) -> Watched:
    """Run `iterations` iterations and say what grew.

    Args:
        step: runs one iteration.
        requests: the running total of requests.
        iterations: how many to run; half of them per stretch.
        live: reads live bytes now.

    Returns:
        The growth. The garbage collector is left as it was found.
    """
    half = max(1, iterations // 2)
    gc.collect()
    uncollectable = len(gc.garbage)
    first_request = requests()
    before = take_census()
    cycle_bytes, cycle_types = await _watch_cycles(step, half)
    await _finalize()
    middle = take_census()
    with out_of_sight():
        gc.collect()  # the free lists that the census filled
        began = live() if live else 0.0
        for _ in range(half):
            await step()
        gc.collect()
        await _finalize()
        live_bytes = (live() - began) / half if live else None
    after = take_census()
    return Watched(
        iterations=2 * half,
        requests=requests() - first_request,
        collections=_grown_twice(before.lengths, middle.lengths, after.lengths),
        names=_grown_twice(before.names, middle.names, after.names),
        types=_grown_twice(before.types, middle.types, after.types, new=True),
        atexit_callbacks=after.atexit_callbacks - before.atexit_callbacks,
        cycle_bytes=cycle_bytes,
        cycle_types=cycle_types,
        live_bytes=live_bytes,
        uncollectable=tuple(class_name(type(item)) for item in gc.garbage[uncollectable:]),
    )


async def _finalize() -> None:
    """Let the loop end the async generators that a collection found: what their `finally` keeps belongs to before."""
    if asyncio._get_running_loop() is None:  # the body of a plain test runs without one
        return
    for _ in range(_LOOP_TURNS):
        await asyncio.sleep(0)


async def _watch_cycles(step: Step, iterations: int) -> tuple[float, tuple[tuple[str, float], ...]]:
    """Run iterations without the collector, then collect: what goes then was cyclic garbage."""
    with out_of_sight():
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            for _ in range(iterations):
                await step()
        finally:
            if was_enabled:
                gc.enable()
        counts = _type_counts()
        blocks = sys.getallocatedblocks()
        gc.collect()
        freed_bytes = max(0, blocks - sys.getallocatedblocks()) * BYTES_PER_BLOCK
        left = _type_counts()
    gone = {name: counts[name] - left.get(name, 0) for name in counts if counts[name] > left.get(name, 0)}
    ranked = sorted(gone.items(), key=lambda entry: (-entry[1], entry[0]))
    return freed_bytes / iterations, tuple((name, number / iterations) for name, number in ranked[:6])


@contextlib.contextmanager
def out_of_sight() -> Iterator[None]:
    """Meanwhile the collector walks only what is new: what has leaked by now may be millions of objects."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _type_counts() -> dict[str, int]:
    objects = gc.get_objects()
    kinds = {id(kind): kind for kind in map(type, objects)}
    counts = collections.Counter[str]()
    for key, number in count_types(objects).items():
        counts[class_name(kinds[key])] += number
    return counts


def _grown_twice(before: dict[K, int], middle: dict[K, int], after: dict[K, int], *, new: bool = False) -> dict[K, int]:
    """Growth of what grew in both stretches; with `new`, what was absent at first counts as 0."""
    absent = 0 if new else sys.maxsize
    return {
        key: last - first
        for key, last in after.items()
        if (first := before.get(key, absent)) < middle.get(key, 0) < last
    }
