"""Child processes, also those that have ended and were never waited for."""

from __future__ import annotations

import os
from collections import Counter

from pytest_memleak.model import ResourceGroup

_THREADS = "/proc/self/task"
_LISTED = os.path.exists(f"{_THREADS}/{os.getpid()}/children")


def count_children() -> int:
    """The number of direct children. Linux lists them per thread, which is cheap."""
    if not _LISTED:
        import psutil

        return len(psutil.Process().children())
    total = 0
    for thread in os.listdir(_THREADS):
        try:
            with open(f"{_THREADS}/{thread}/children", "rb") as children:
                total += len(children.read().split())
        except OSError:  # the thread has ended meanwhile
            continue
    return total


def describe_children() -> tuple[ResourceGroup, ...]:
    """The direct children by their command."""
    import psutil

    commands: Counter[str] = Counter()
    for child in psutil.Process().children():
        try:
            zombie = child.status() == psutil.STATUS_ZOMBIE
            command = f"{child.name()} (ended, not waited for)" if zombie else " ".join(child.cmdline())
        except psutil.Error:
            continue
        commands[command[:120]] += 1
    return tuple(ResourceGroup(name=command, count=count) for command, count in commands.most_common())
