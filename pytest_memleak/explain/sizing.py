"""What one entry of a collection keeps alive, estimated from a few of the newest ones."""

from __future__ import annotations

import builtins
import collections
import gc
import itertools
import queue
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from pytest_memleak.explain.census import LRU_CACHE
from pytest_memleak.explain.static import (
    hides_memory,
    instance_dict,
    is_a,
    module_name,
    qualified_name,
    shallow_bytes,
)

SAMPLED = 4
_OBJECTS_PER_ENTRY = 300
_SHARED = (ModuleType, BuiltinFunctionType, CodeType)

Entry = tuple[object, ...]
"""What a collection holds under one number or key: the value, or the key and the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySize:
    """What one entry keeps alive.

    Args:
        size_bytes: the estimate.
        is_lower_bound: whether more may be behind it: memory that a C type does not tell of, or
            more objects than were looked at.
    """

    size_bytes: float
    is_lower_bound: bool = False


BYTE = EntrySize(size_bytes=1.0)


def newest(collection: Any) -> list[Entry]:
    """A few entries, the last ones where there is an order; none for buffers of bytes and text."""
    for kind, entries in _ENTRIES:
        if is_a(collection, kind):
            try:
                return list(entries(collection))
            except RuntimeError:  # another thread changed it
                return []
    return []


def _of_cache(cache: Any) -> Iterable[Entry]:
    """The entries of an ``lru_cache``; a bounded one keeps them in links that only the cache itself shows."""
    parts = gc.get_referents(cache)
    held = max((part for part in parts if type(part) is dict and part is not instance_dict(cache)), key=len, default={})
    link = next((type(value) for value in dict.values(held)), None)
    if link is None or qualified_name(link) != "_lru_list_elem":
        return newest(held)
    # each link shows its key, its result and its type
    ends = [place for place, part in enumerate(parts) if part is link and place >= 2][: len(held)]
    return [(parts[place - 2], parts[place - 1]) for place in ends[-SAMPLED:]]


def _of_queue(waiting: Any) -> Iterable[Entry]:
    return [entry for part in gc.get_referents(waiting) if type(part) is list for entry in newest(part)]


_ENTRIES: tuple[tuple[type, Callable[[Any], Iterable[Entry]]], ...] = (
    (dict, lambda held: itertools.islice(reversed(dict.items(held)), SAMPLED)),
    (list, lambda held: zip(list.__getitem__(held, slice(-SAMPLED, None)))),
    (tuple, lambda held: zip(tuple.__getitem__(held, slice(-SAMPLED, None)))),
    (collections.deque, lambda held: zip(itertools.islice(collections.deque.__reversed__(held), SAMPLED))),
    (set, lambda held: zip(itertools.islice(set.__iter__(held), SAMPLED))),
    (frozenset, lambda held: zip(itertools.islice(frozenset.__iter__(held), SAMPLED))),
    (LRU_CACHE, _of_cache),
    (queue.SimpleQueue, _of_queue),
)


def entry_type(entries: Sequence[Entry], named: Callable[[type], str]) -> str | None:
    """The most frequent type among the values; of equally frequent ones the first by name."""
    if not entries:
        return None
    told = (entry[-1] if entry[-1] is not None else entry[0] for entry in entries)
    counts = collections.Counter(named(type(value)) for value in told)
    return min(counts, key=lambda name: (-counts[name], name))


def bytes_per_entry(entries: Sequence[Entry]) -> EntrySize:
    """What is reached from one sampled entry and from no other.

    What several entries reach (their class, the app) is shared and would stay without them.
    """
    reached: collections.Counter[int] = collections.Counter()
    sizes: dict[int, int] = {}
    more = False
    for entry in entries:
        seen: dict[int, object] = {}
        waiting = collections.deque(entry)
        while waiting and len(seen) < _OBJECTS_PER_ENTRY:
            item = waiting.popleft()
            if id(item) not in seen and not _is_shared(item):
                seen[id(item)] = item
                waiting.extend(_parts(item))
        sizes.update((key, shallow_bytes(item)) for key, item in seen.items())
        more = more or bool(waiting) or any(map(hides_memory, set(map(type, seen.values()))))
        reached.update(seen.keys())
    shared = 1 if len(entries) > 1 else len(entries)
    own = sum(sizes[key] for key, times in reached.items() if times <= shared)
    return EntrySize(size_bytes=8.0 + own / len(entries), is_lower_bound=more)  # 8: the collection's own slot


def _is_shared(item: Any) -> bool:
    """Modules, code, and the classes that a module knows by their name."""
    if type(item) in _SHARED:
        return True
    if not is_a(item, type):
        return False
    module = sys.modules.get(module_name(item))
    return module is None or (instance_dict(module) or {}).get(qualified_name(item)) is item


def _parts(item: Any) -> list[Any]:
    """What an object holds; a function holds its closure and its defaults, not the globals of its module."""
    parts = gc.get_referents(item)
    if type(item) is not FunctionType:
        return parts
    return [part for part in parts if part is not item.__globals__ and part is not builtins.__dict__]
