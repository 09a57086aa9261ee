"""A cache with two limits: entries and bytes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from cachetools import LRUCache


class BoundedLRUCache:
    """Keeps what was used last, up to a number of entries and an amount of memory.

    Args:
        maxsize: entries at most.
        max_memory_mb: estimated memory of the values at most, in MiB.
    """

    def __init__(self, maxsize: int = 1000, max_memory_mb: float = 100) -> None:
        self.maxsize = maxsize
        self._entries: LRUCache[str, Any] = LRUCache(max_memory_mb * 2**20, getsizeof=size_bytes)

    def get(self, key: str) -> Any | None:
        """The value, or None; it counts as used."""
        return self._entries.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a value; what was not used for longest makes room. A value above the limit is not kept."""
        if size_bytes(value) > self._entries.maxsize:
            return
        self._entries[key] = value
        while len(self._entries) > self.maxsize:
            self._entries.popitem()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    @property
    def memory_bytes(self) -> int:
        """Estimated memory of the values."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        return len(self._entries)


def size_bytes(value: Any) -> int:
    """Memory of a value with what it contains; the JSON types are all that is kept here."""
    if isinstance(value, Mapping):
        return sys.getsizeof(value) + sum(size_bytes(key) + size_bytes(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return sys.getsizeof(value) + sum(size_bytes(item) for item in value)
    return sys.getsizeof(value)
