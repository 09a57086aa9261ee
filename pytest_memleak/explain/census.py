"""The length of every collection and the number of objects of every type, at one moment.

A census keeps numbers only, no reference to what it counted. It looks at the objects the garbage
collector tracks and at what they refer to directly, because a dict or bytearray that holds only
atoms is not tracked itself. Lengths are read through the built-in type (``dict.__len__(o)``), so a
subclass's own ``__len__`` is never called; types are keyed by ``id``, for a metaclass may define
``__hash__``.
"""

from __future__ import annotations

import array
import atexit
import collections
import functools
import gc
import io
import queue
import sys
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from itertools import compress, filterfalse
from types import ModuleType
from typing import Any

from pytest_memleak.explain.static import mro
from pytest_memleak.origin import kind_of

LRU_CACHE = type(functools.lru_cache(len))
_AT_ONCE = 50_000


def _buffer_length(stream: Any) -> int:
    """Bytes in a BytesIO; 0 when it is closed."""
    try:
        with io.BytesIO.getbuffer(stream) as view:
            return view.nbytes
    except ValueError:
        return 0


def _text_length(stream: Any) -> int:
    """Characters written to a StringIO; 0 when it is closed."""
    try:
        return io.StringIO.tell(stream)
    except ValueError:
        return 0


_LENGTHS: tuple[tuple[type, Callable[[Any], int]], ...] = (
    (dict, dict.__len__),
    (list, list.__len__),
    (set, set.__len__),
    (collections.deque, collections.deque.__len__),
    (bytearray, bytearray.__len__),
    (array.array, array.array.__len__),
    (io.BytesIO, _buffer_length),
    (io.StringIO, _text_length),
    (queue.SimpleQueue, queue.SimpleQueue.qsize),
    (LRU_CACHE, lambda cache: LRU_CACHE.cache_info(cache).currsize),
)


@functools.lru_cache(maxsize=1)
def _measured() -> dict[int, Callable[[Any], int]]:
    return {id(kind): length for kind, length in _LENGTHS}


def length_function(kind: type) -> Callable[[Any], int] | None:
    """How to measure a collection of type `kind` without calling its class's own code."""
    measured = _measured()
    for base in mro(kind):
        if id(base) in measured:
            return measured[id(base)]
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Lengths by object id, object counts by type id."""

    lengths: dict[int, int]
    types: dict[int, int]
    atexit_callbacks: int


def namespaces() -> Iterator[tuple[str, dict[str, Any]]]:
    """The namespace of every imported module, by its first name, in the order of the names."""
    known: set[int] = set()
    for name, module in sorted(sys.modules.items()):
        if issubclass(type(module), ModuleType) and id(module) not in known:
            known.add(id(module))  # multiprocessing's `__mp_main__` is `__main__` again
            yield name, ModuleType.__getattribute__(module, "__dict__")


def module_kind(namespace: dict[str, Any]) -> str:
    """Whose code a module is (see `origin.kind_of`); an interactive ``__main__`` is the app's."""
    path = namespace.get("__file__")
    if type(path) is str:
        return kind_of(path)
    return "app" if namespace.get("__name__") == "__main__" else "python"


def _lengths(objects: list[Any]) -> dict[int, int]:
    """The length of every collection among `objects` and their direct referents, by id.

    The dict inside an ``lru_cache`` and the list inside a ``SimpleQueue`` are left out: the cache and
    the queue themselves are counted.
    """
    functions: dict[int, Callable[[Any], int] | None] = {}
    lengths: dict[int, int] = {}
    for group in _with_referents(objects):
        keys = list(map(id, map(type, group)))
        for key, kind in dict(zip(keys, map(type, group), strict=True)).items():
            if key not in functions:
                functions[key] = length_function(kind)
        found = list(compress(group, map(functions.__getitem__, keys)))
        for kind, measure in _FREQUENT:
            same = list(of_type(found, kind))
            lengths.update(zip(map(id, same), map(measure, same), strict=True))
        for item in found:
            if id(item) not in lengths and (length := functions[id(type(item))]) is not None:
                lengths[id(item)] = length(item)
    for item in of_type(objects, LRU_CACHE, queue.SimpleQueue):
        for part in gc.get_referents(item):
            if type(part) in (dict, list):
                lengths.pop(id(part), None)
    return lengths


_FREQUENT = _LENGTHS[:3]
"""Dicts, lists and sets, which may be millions: measured by loops in C."""


def find_collections(ids: Container[int]) -> dict[int, Any]:
    """The collections of a census that are still there, by id."""
    found: dict[int, Any] = {}
    for group in _with_referents(gc.get_objects()):
        found.update((id(item), item) for item in compress(group, map(ids.__contains__, map(id, group))))
    return {key: item for key, item in found.items() if length_function(type(item)) is not None}


def _with_referents(objects: list[Any]) -> Iterator[list[Any]]:
    """All objects, and what they refer to that the collector does not track, some at a time; some come twice."""
    for start in range(0, len(objects), _AT_ONCE):
        some = objects[start : start + _AT_ONCE]
        yield some
        # _asyncio in Python 3.12 reports a loop that it does not own and that may be gone. What modules
        # refer to is their namespace, which the collector tracks by itself.
        held = gc.get_referents(*(item for item in some if type(item) is not ModuleType))
        yield list(filterfalse(gc.is_tracked, held))


def of_type(objects: list[Any], *kinds: type) -> Iterator[Any]:
    """The objects of exactly these types. Loops in C: a leak of millions of objects is looked through often."""
    wanted = set(map(id, kinds))
    return compress(objects, map(wanted.__contains__, map(id, map(type, objects))))


def count_types(objects: list[Any]) -> dict[int, int]:
    """The number of objects by the id of their type."""
    return dict(collections.Counter(map(id, map(type, objects))))


def take_census() -> Census:
    """Count everything. Call ``gc.collect()`` before, or garbage is counted too."""
    objects = gc.get_objects()
    return Census(
        lengths=_lengths(objects),
        types=count_types(objects),
        atexit_callbacks=atexit._ncallbacks(),
    )
