"""What kind of growth it is, in one sentence, from numbers alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_memleak.explain import wording
from pytest_memleak.model import GrowthFacts

Kind = Literal["python", "native", "mixed", "fragmentation", "maps", "first_touch", "threads", "unknown"]

# The lines' sum and the sensors disagree by a few per cent (arena and dict resizes).
MOST = 0.6
LITTLE = 0.25
# What keeps less of it is not the answer.
LEAST = 0.05
# Where the lines' sum is less of the growth than that, the sentence says how much.
_NEARLY_ALL = 0.8
# Of less than that per iteration a few iterations say little.
_CLEAR_BYTES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The kind and the sentence for it."""

    kind: Kind
    sentence: str


def python_share(growth: GrowthFacts, python_bytes_per_iteration: float) -> float:
    """The part of the growth that Python's allocators account for, 0 to 1 (or a little above)."""
    whole = reference(growth)
    return python_bytes_per_iteration / whole if whole > 0 else 0.0


def reference(growth: GrowthFacts) -> float:
    """The growth to be explained, bytes per iteration: live bytes, or RSS where it alone grows."""
    live = growth.live_bytes_per_iteration or 0.0
    rss = growth.rss_bytes_per_iteration
    return live if growth.on_live_bytes or live > LITTLE * rss else rss


def is_little(growth: GrowthFacts, python_bytes_per_iteration: float) -> bool:
    """Whether Python's allocators account for so little of the growth that something else is what grows."""
    return python_share(growth, python_bytes_per_iteration) < LITTLE


def came_back(growth: GrowthFacts, live_bytes_per_iteration: float | None) -> bool:
    """Whether live bytes grew in the explanation's iterations too; what comes in bursts is not there to be explained.

    Args:
        growth: what the run measured.
        live_bytes_per_iteration: growth seen by the explanation; None when it is unknown.
    """
    live = growth.live_bytes_per_iteration or 0.0
    on_live = growth.on_live_bytes or live > LITTLE * growth.rss_bytes_per_iteration
    known = live_bytes_per_iteration is not None and on_live
    return not known or live < _CLEAR_BYTES or (live_bytes_per_iteration or 0.0) >= LITTLE * live


def cause_of(
    growth: GrowthFacts,
    python_bytes_per_iteration: float,
    python_live_bytes_per_iteration: float = 0.0,
) -> Cause:
    """Name the kind of growth.

    Args:
        growth: what the sensors measured.
        python_bytes_per_iteration: what tracemalloc saw staying, bytes per iteration.
        python_live_bytes_per_iteration: the same as the live-bytes sensor counts it, by blocks.

    Returns:
        The kind and one sentence with its numbers.
    """
    live = growth.live_bytes_per_iteration
    beside_rss = live is not None and live <= LITTLE * growth.rss_bytes_per_iteration
    only_rss = beside_rss and not growth.on_live_bytes
    share = python_share(growth, max(python_bytes_per_iteration, python_live_bytes_per_iteration))
    whole, known = wording.size(reference(growth)), wording.size(python_bytes_per_iteration)
    if only_rss and share < MOST:
        return _rss_alone(growth)
    if share >= MOST:
        told = python_share(growth, python_bytes_per_iteration) >= _NEARLY_ALL
        text = (
            f"Python objects: {known} per iteration stay allocated"
            if told
            else f"Python objects: {known} of {whole} per iteration stay allocated, the rest is not explained"
        )
        return Cause(kind="python", sentence=text + _left_open(growth))
    if share >= LITTLE:
        text = (
            f"Python objects and native memory together: {known} of {whole} per iteration are Python objects, "
            "the rest is native"
        )
        return Cause(kind="mixed", sentence=text + _left_open(growth))
    if reference(growth) <= 0:
        return Cause(kind="unknown", sentence="no growth that a kind could be named for")
    text = f"native allocations: {whole} per iteration, of which Python's allocators know {known}"
    return Cause(kind="native", sentence=text + _left_open(growth))


def _rss_alone(growth: GrowthFacts) -> Cause:
    """RSS grew, the heap did not."""
    grown = wording.size(growth.rss_growth_bytes)
    head = f"RSS grew {grown}, the heap did not"
    trimmed, mapped = growth.trimmed_bytes, growth.vms_growth_bytes
    if trimmed is not None and trimmed >= growth.rss_growth_bytes / 2 > 0:
        text = f"{head}; trimming gave {wording.size(trimmed)} back: freed memory not returned, not a leak"
        return Cause(kind="fragmentation", sentence=text)
    if growth.threads_per_iteration > 0.1 and growth.iterations:
        threads = wording.counted(growth.threads_per_iteration, "thread")
        text = f"{head}: {threads} more per iteration, each with its stack"
        return Cause(kind="threads", sentence=text)
    if mapped is not None and mapped < growth.rss_growth_bytes / 4:
        text = (
            f"{head}, and the address space did not either: pages reserved long ago were touched for "
            "the first time, which is bounded"
        )
        return Cause(kind="first_touch", sentence=text)
    if mapped is not None:
        text = f"memory maps: {head}, the address space grew {wording.size(mapped)} (mmap, shared memory)"
        return Cause(kind="maps", sentence=text)
    return Cause(kind="unknown", sentence=f"{head}: memory maps or freed memory not returned")


def _left_open(growth: GrowthFacts) -> str:
    """What stays beside the memory, and holds it as a rule."""
    left = (
        (growth.clients_per_iteration, "left open", "client"),
        (growth.tasks_per_iteration, "never finished", "asyncio task"),
    )
    return "".join(f"; {how}: {wording.counted(rate, what)} per iteration" for rate, how, what in left if rate > 0.01)
