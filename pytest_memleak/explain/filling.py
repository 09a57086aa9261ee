"""Bounded collections that are not full yet: they grow like a leak, and some of them stop."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Any, Literal

from pytest_memleak.explain import wording
from pytest_memleak.explain.census import LRU_CACHE
from pytest_memleak.explain.static import class_name, instance_dict, is_a, module_name, mro

_MAXLEN = collections.deque.__dict__["maxlen"]
_QUEUES = ("queue.Queue", "asyncio.queues.Queue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The length at which a collection should stop growing.

    Args:
        entries: that length.
        when_full: it drops old entries, ``put()`` waits, or only its own code knows, for the number is an
            attribute of it and no more.
    """

    entries: int
    when_full: Literal["drops", "waits", "unknown"]


def limit_of(collection: Any) -> Limit | None:
    """The bound of a collection; None where it has none."""
    when_full: Literal["drops", "waits", "unknown"] = "drops"
    if type(collection) is LRU_CACHE:
        limit = LRU_CACHE.cache_info(collection).maxsize
    elif is_a(collection, collections.deque):
        limit = _MAXLEN.__get__(collection)
    else:
        attributes = instance_dict(collection) or {}
        names = ("_Cache__maxsize", "maxsize", "_maxsize")
        limit = next((attributes[name] for name in names if name in attributes), None)
        bases = mro(type(collection))
        if any(class_name(base) in _QUEUES for base in bases):
            when_full = "waits"
        elif not any(module_name(base).partition(".")[0] == "cachetools" for base in bases):
            when_full = "unknown"
    return Limit(entries=limit, when_full=when_full) if type(limit) is int and limit > 0 else None


def filling_note(path: str, length: int, limit: Limit, entries_per_iteration: float) -> str | None:
    """What becomes of a collection that has not reached its bound; None for one that has.

    Args:
        path: its path of code.
        length: entries it has now.
        limit: where it should stop.
        entries_per_iteration: how fast it grows.
    """
    if not 0 < length < limit.entries or entries_per_iteration <= 0:
        return None
    most = wording.count(limit.entries)
    share = f"{wording.count(length)} of {most} entries"
    after = f"after about {wording.count((limit.entries - length) / entries_per_iteration)} more iterations"
    if limit.when_full == "drops":
        return (
            f"{path} is bounded and still filling: {share}. It stops growing by itself {after}; "
            "measure longer, or fill it before the test."
        )
    if limit.when_full == "waits":
        return f"{path} is filled faster than it is emptied: {share}. put() waits when it is full, {after}."
    return f"{path} has a maxsize of {most}: it stops growing {after} if its code heeds that. It has {share} now."
