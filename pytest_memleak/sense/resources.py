"""How many descriptors, threads, tasks, child processes and async generators are open.

After every iteration only integers are read, into arrays made before the first one; what the
resources are is looked up twice, when the run begins and when it has settled.
"""

from __future__ import annotations

import asyncio
import os
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from pytest_memleak.model import ResourceGroup, ResourceSeries
from pytest_memleak.sense import activity, descriptors

_THREADS = "/proc/self/task"
_LISTS_CHILDREN = os.path.exists(f"{_THREADS}/{os.getpid()}/children")
# Of asyncio's tasks, which it goes through to count them: beside a leak of thousands that is half of an iteration.
_MANY, _SELDOM = 2_000, 10
Describe = Callable[[], tuple[ResourceGroup, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceKind:
    """One kind of resource.

    Args:
        every: count it in every `every`-th iteration and repeat the number in between.
        limit: the most that the process may have, or None.
    """

    name: str
    count: Callable[[], int]
    describe: Describe
    every: int = 1
    limit: int | None = None


class ResourceSensor:
    """Counts the resources of this process after each iteration.

    Args:
        iterations: the most iterations there can be; further ones are not recorded.
        loop: whose tasks and async generators to count; None counts neither.
    """

    # Children cost a file per thread; a leak of processes is no faster seen every iteration.
    CHILDREN_EVERY = 10

    def __init__(self, iterations: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.kinds = _kinds(loop, self.CHILDREN_EVERY)
        self._counts = {kind.name: array("l", [0]) * iterations for kind in self.kinds}
        self._columns = tuple((kind.count, kind.every, self._counts[kind.name]) for kind in self.kinds)
        self._groups_start: dict[str, tuple[ResourceGroup, ...]] = {}
        self._iterations = iterations
        self.taken = 0

    def start(self) -> None:
        """Look up what is open before the run."""
        self._groups_start = {kind.name: kind.describe() for kind in self.kinds}

    def sample(self, iteration: int) -> None:
        """Count after `iteration`, which starts at 0."""
        if iteration >= self._iterations:
            return
        for count, every, counts in self._columns:
            if iteration and counts[iteration - 1] >= _MANY:
                every = max(every, _SELDOM)
            fresh = every == 1 or iteration % every == 0
            counts[iteration] = count() if fresh else counts[iteration - 1]
        self.taken = iteration + 1

    def levels(self) -> tuple[int, ...]:
        """The counts of this moment, in a fixed order."""
        return tuple(kind.count() for kind in self.kinds)

    def counts(self) -> tuple[Sequence[int], ...]:
        """The counts of the iterations so far, in the same order."""
        return tuple(counts[: self.taken] for _, _, counts in self._columns)

    def finish(self) -> tuple[ResourceSeries, ...]:
        """The counts of all iterations, and what is open now that the run has settled."""
        return tuple(
            ResourceSeries(
                kind=kind.name,
                counts=self._counts[kind.name][: self.taken],
                count_settled=kind.count(),
                groups_start=self._groups_start.get(kind.name, ()),
                groups_end=_described(kind),
                limit=kind.limit,
            )
            for kind in self.kinds
        )


def _described(kind: ResourceKind) -> tuple[ResourceGroup, ...]:
    """What is open; nothing when the process has no descriptor left to look it up with."""
    try:
        return kind.describe()
    except OSError:
        return ()


def _kinds(loop: asyncio.AbstractEventLoop | None, children_every: int) -> tuple[ResourceKind, ...]:
    kinds = [
        ResourceKind(name="thread", count=threading.active_count, describe=activity.describe_threads),
        ResourceKind(
            name="child_process",
            count=count_children,
            describe=describe_children,
            every=children_every,
        ),
    ]
    if descriptors.can_count():
        fds = ResourceKind(
            name="fd",
            count=descriptors.count_descriptors,
            describe=descriptors.describe_descriptors,
            limit=descriptors.most_descriptors(),
        )
        kinds.insert(0, fds)
    if loop is not None:
        tasks = ResourceKind(
            name="task",
            count=lambda: len(asyncio.all_tasks(loop)),
            describe=lambda: activity.describe_tasks(loop),
        )
        kinds.append(tasks)
    generators = activity.async_generators(loop)
    if generators is not None:
        unfinished = ResourceKind(
            name="async_generator",
            count=lambda: len(generators),
            describe=lambda: activity.describe_async_generators(loop),
        )
        kinds.append(unfinished)
    return tuple(kinds)


def count_children() -> int:
    """The number of direct children. Linux lists them per thread, which is cheap."""
    if not _LISTS_CHILDREN:
        return len(psutil.Process().children())
    total = 0
    for thread in threading.enumerate():
        try:
            with open(f"{_THREADS}/{thread.native_id}/children", "rb") as children:
                total += len(children.read().split())
        except OSError:  # the thread has ended meanwhile
            continue
    return total


def describe_children() -> tuple[ResourceGroup, ...]:
    """The direct children by their command."""
    commands: Counter[str] = Counter()
    for child in psutil.Process().children():
        try:
            zombie = child.status() == psutil.STATUS_ZOMBIE
            command = f"{child.name()} (ended, not waited for)" if zombie else " ".join(child.cmdline())
        except psutil.Error:
            continue
        commands[command[:120]] += 1
    return tuple(ResourceGroup(name=command, count=count) for command, count in commands.most_common())
