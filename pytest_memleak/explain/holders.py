"""The collections that grow with the requests, the most telling first."""

from __future__ import annotations

import atexit
import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_memleak.explain.census import LRU_CACHE, find_collections, length_function
from pytest_memleak.explain.filling import limit_of
from pytest_memleak.explain.holder import Holder
from pytest_memleak.explain.naming import Name, Namer, attribute_of
from pytest_memleak.explain.reach import Trail, is_tool, trails
from pytest_memleak.explain.rebound import bindings, bound_length
from pytest_memleak.explain.sizing import BYTE, SAMPLED, Entry, EntrySize, bytes_per_entry, entry_type, newest
from pytest_memleak.explain.static import class_name, instance_dict, mro, qualified_name
from pytest_memleak.explain.watch import Watched

_ROWS = 5
_CANDIDATES_PER_TYPE = 1_000
_SPREAD = 10
_UNEVEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A collection that grew, and what is shown for it: itself, or the object it is the store of."""

    collection: Any
    shown: object
    name: Name
    grown: tuple[int, int]


class _Growth:
    """What the holders' growth is compared with: the run's."""

    def __init__(self, watched: Watched, bytes_per_iteration: float, run_iterations: int) -> None:
        self._watched = watched
        self._bytes = bytes_per_iteration * watched.iterations
        self._iterations = run_iterations

    def share(self, grown: int, entry: EntrySize) -> float:
        size = grown * entry.size_bytes
        return size / self._bytes if self._bytes > 0 else size

    def kept(self, grown: int, length: int) -> float:
        expected = grown / self._watched.iterations * self._iterations
        return length / expected if expected > 0 else 1.0


def find_holders(watched: Watched, bytes_per_iteration: float = 0.0, run_iterations: int = 0) -> tuple[Holder, ...]:
    """Name the collections that grew, the most telling first, at most five.

    Runs no code of the app's, keeps nothing alive.

    Args:
        watched: what grew.
        bytes_per_iteration: the growth to be explained; 0 where it is unknown.
        run_iterations: the iterations that the process went through before it was watched, at least.
    """
    growth = _Growth(watched, bytes_per_iteration, run_iterations)
    namer = Namer()
    by_path: dict[str, list[_Member]] = collections.defaultdict(list)
    for member in _members(watched, namer):
        if not is_tool(member.name.module):
            by_path[member.name.path].append(member)
    holders = [holder for members in by_path.values() for holder in _together(members, growth, namer)]
    holders += _rebound(watched, {holder.name.path for holder in holders}, growth, namer)
    if watched.atexit_callbacks > 1:
        holders.append(_atexit(watched, growth))
    return tuple(sorted(holders, key=lambda holder: holder.rank)[:_ROWS])


def _members(watched: Watched, namer: Namer) -> Iterator[_Member]:
    for key, chain in trails(_candidates(watched.collections)).items():
        shown = _without_insides(chain)
        name = namer.name(shown)
        if type(chain[-1]) is LRU_CACHE:
            name = namer.lru_cache_name(chain[-1], name)
        yield _Member(collection=chain[-1], shown=shown[-1], name=name, grown=watched.collections[key])


def _candidates(grown: Mapping[int, tuple[int, int]]) -> dict[int, Any]:
    """What grew in both stretches; where a leak is spread over many collections, also what did in one of them.

    Of each type only so many: sixty buffers that gain four bytes each must not hide one dict.
    """
    found = find_collections(grown.keys())
    by_type: dict[int, list[int]] = collections.defaultdict(list)
    for key, item in found.items():
        by_type[id(type(item))].append(key)
    chosen: dict[int, Any] = {}
    for keys in by_type.values():
        if len(keys) < _SPREAD:
            keys = [key for key in keys if all(grown[key])]
        keys.sort(key=lambda key: (-sum(grown[key]), key))
        chosen.update((key, found[key]) for key in keys[:_CANDIDATES_PER_TYPE])
    return chosen


def _without_insides(chain: Trail) -> Trail:
    """Cut the chain at a queue, a weak set or any class that is itself a collection, where its store grows.

    Nobody looks for ``CACHE._Cache__data``: the holder is ``CACHE``. What else such an object has, say a list of
    those who wait, is named.
    """
    for back in (2, 3):
        if len(chain) > back:
            item = chain[-back]
            inner = chain[-back + 1]
            direct = back == 2 or (type(inner) is dict and instance_dict(item) is inner)
            if direct and _is_facade(type(item)) and _is_store(type(item), attribute_of(item, chain[-1])):
                return chain[: len(chain) - back + 1]
    return chain


def _is_facade(kind: type) -> bool:
    return any(class_name(base) in _FACADES for base in mro(kind))


def _is_store(kind: type, attribute: object) -> bool:
    """Whether this attribute of a collection holds its entries, by its name: a usual or a private one."""
    if type(attribute) is not str:
        return False
    private = (f"_{qualified_name(base).rpartition('.')[2].lstrip('_')}__" for base in mro(kind))
    return attribute in _STORES or attribute.startswith(tuple(private))


_FACADES = frozenset(
    f"collections.abc.{name}" for name in ("Sized", "Container", "Collection", "Mapping", "Set", "Sequence")
) | {"queue.Queue", "asyncio.queues.Queue", "_weakrefset.WeakSet"}
_STORES = frozenset(("queue", "_queue", "data", "_data", "_store", "_dict", "_list", "_lists", "_items"))


def _together(members: Sequence[_Member], growth: _Growth, namer: Namer) -> Iterable[Holder]:
    """One row for what has one path: the lists in ``CACHE[...]`` are one holder, as is a cache with two dicts."""
    by_shown: dict[int, _Member] = {}
    for member in sorted(members, key=lambda member: sum(member.grown), reverse=True):
        by_shown.setdefault(id(member.shown), member)
    largest = list(by_shown.values())
    first, second = (sum(grown) for grown in zip(*(member.grown for member in largest), strict=True))
    if not _is_steady(first, second, len(largest)):
        return
    each = max(1, SAMPLED // len(largest))
    entries = [entry for member in largest[:SAMPLED] for entry in newest(member.collection)[-each:]]
    entry = bytes_per_entry(entries) if entries else BYTE
    length = sum(_length(member.collection) for member in largest)
    yield Holder(
        name=largest[0].name,
        kind=namer.words.class_name(type(largest[0].shown)),
        grown=first + second,
        length=length,
        entry_kind=entry_type(entries, namer.words.class_name),
        entry=entry,
        limit=limit_of(largest[0].shown) if len(largest) == 1 else None,
        share=growth.share(first + second, entry),
        # of many, only those that grew just now are at hand, not all that grew in the run
        kept=growth.kept(first + second, length) if len(largest) == 1 else 1.0,
    )


def _is_steady(first: int, second: int, members: int) -> bool:
    """Whether it grew in both stretches; of many collections, some of which grow at times, about equally."""
    least, most = sorted((first, second))
    return least > 0 and (members == 1 or least * _UNEVEN >= most)


def _length(collection: Any) -> int:
    length = length_function(type(collection))
    return length(collection) if length is not None else 0


def _rebound(watched: Watched, known: set[str], growth: _Growth, namer: Namer) -> Iterator[Holder]:
    """What grows because a name is bound to a larger object each time: ``LOG += line``."""
    if not watched.names:
        return
    for binding in bindings():
        grown = watched.names.get(binding.path, 0)
        length = bound_length(binding.value)
        in_place = binding.path in known or id(binding.value) in watched.collections
        if not grown or not length or in_place or not all(namer.words.allows(*word) for word in binding.words):
            continue
        entries: list[Entry] = newest(binding.value)
        entry = bytes_per_entry(entries) if entries else BYTE
        yield Holder(
            name=Name(path=binding.path, owner="app", module=binding.path.partition(".")[0]),
            kind=namer.words.class_name(type(binding.value)),
            grown=grown,
            length=length,
            entry_kind=entry_type(entries, namer.words.class_name),
            entry=entry,
            share=growth.share(grown, entry),
            kept=growth.kept(grown, length),
        )


def _atexit(watched: Watched, growth: _Growth) -> Holder:
    entry = EntrySize(size_bytes=100.0, is_lower_bound=True)  # what the functions' closures hold is out of reach
    return Holder(
        name=Name(path="atexit callbacks", owner="Python", module="atexit"),
        kind="atexit.register",
        grown=watched.atexit_callbacks,
        length=atexit._ncallbacks(),
        entry_kind="function",
        entry=entry,
        share=growth.share(watched.atexit_callbacks, entry),
    )
