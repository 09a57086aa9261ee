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
import weakref
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pytest_memleak.explain.census import count_types, take_census
from pytest_memleak.explain.rebound import measure_bound
from pytest_memleak.explain.vocabulary import Vocabulary

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
        collections: growth in entries in the first and in the second stretch, by object id; no stretch shrank.
        names: growth in entries by path, for what grows by rebinding.
        depths: growth in depth by path, for what refers to its predecessor.
        types: growth in objects by type id; only types that grew in both stretches.
        atexit_callbacks: growth in functions registered with `atexit`.
        cycle_bytes: bytes per iteration that only ``gc.collect()`` freed.
        cycle_types: their types with the number per iteration, the most frequent first.
        uncollectable: the types of what was added to ``gc.garbage``.
        live_bytes: growth of live bytes per iteration in the second stretch; None when nobody reads them.
    """

    iterations: int
    requests: int
    collections: dict[int, tuple[int, int]]
    names: dict[str, int]
    depths: dict[str, int]
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
    before, bound_before = take_census(), measure_bound()
    cycle_bytes, cycle_types = await _watch_cycles(step, half, live)
    await _finalize()
    middle, bound_middle = take_census(), measure_bound()
    with out_of_sight():
        gc.collect()  # the free lists that the census filled
        began = live() if live else 0.0
        for _ in range(half):
            await step()
        gc.collect()
        await _finalize()
        live_bytes = (live() - began) / half if live else None
    after, bound_after = take_census(), measure_bound()
    words = Vocabulary()
    return Watched(
        iterations=2 * half,
        requests=requests() - first_request,
        collections=_grown(before.lengths, middle.lengths, after.lengths),
        names=_grown_twice(bound_before.lengths, bound_middle.lengths, bound_after.lengths),
        depths=_grown_twice(bound_before.depths, bound_middle.depths, bound_after.depths),
        types=_grown_twice(before.types, middle.types, after.types, new=True),
        atexit_callbacks=after.atexit_callbacks - before.atexit_callbacks,
        cycle_bytes=cycle_bytes,
        cycle_types=cycle_types,
        live_bytes=live_bytes,
        uncollectable=tuple(words.class_name(type(item)) for item in gc.garbage[uncollectable:]),
    )


async def _finalize() -> None:
    """Let the loop end the async generators that a collection found: what their `finally` keeps belongs to before."""
    if asyncio._get_running_loop() is None:  # the body of a plain test runs without one
        return
    for _ in range(_LOOP_TURNS):
        await asyncio.sleep(0)


async def _watch_cycles(
    step: Step, iterations: int, live: Callable[[], float] | None
) -> tuple[float, tuple[tuple[str, float], ...]]:
    """Run iterations without the collector, then collect: what goes then was cyclic garbage."""
    read = live or _block_bytes
    with out_of_sight():
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            for _ in range(iterations):
                await step()
        finally:
            if was_enabled:
                gc.enable()
        objects = gc.get_objects()
        counts = count_types(objects)
        kinds = {id(kind): weakref.ref(kind) for kind in map(type, objects)}
        del objects
        held = read()
        gc.collect(1)  # all that is new; a full collection would empty the free lists too, which are no cycles
        freed_bytes = max(0.0, held - read())
        gc.collect()
        left = count_types(gc.get_objects())
    if was_enabled:  # then nobody is told of the types
        return freed_bytes / iterations, ()
    words = Vocabulary()
    gone = collections.Counter[str]()
    for key, number in counts.items():
        if number <= left.get(key, 0):
            continue
        kind = kinds[key]()
        gone[words.class_name(kind) if kind is not None else "classes made at run time"] += number - left.get(key, 0)
    ranked = sorted(gone.items(), key=lambda entry: (-entry[1], entry[0]))
    return freed_bytes / iterations, tuple((name, number / iterations) for name, number in ranked[:6])


def _block_bytes() -> float:
    return sys.getallocatedblocks() * BYTES_PER_BLOCK


@contextlib.contextmanager
def out_of_sight() -> Iterator[None]:
    """Meanwhile the collector walks only what is new: what has leaked by now may be millions of objects."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _grown_twice(before: dict[K, int], middle: dict[K, int], after: dict[K, int], *, new: bool = False) -> dict[K, int]:
    """Growth of what grew in both stretches; with `new`, what was absent at first counts as 0."""
    absent = 0 if new else sys.maxsize
    return {
        key: last - first
        for key, last in after.items()
        if (first := before.get(key, absent)) < middle.get(key, 0) < last
    }


def _grown(before: dict[int, int], middle: dict[int, int], after: dict[int, int]) -> dict[int, tuple[int, int]]:
    """Growth in each stretch, of what was there all the time, grew and never shrank."""
    return {
        key: (then - first, last - then)
        for key, last in after.items()
        if (first := before.get(key, sys.maxsize)) <= (then := middle.get(key, 0)) <= last and first < last
    }
