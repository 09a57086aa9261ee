"""The collections that grow with the requests: their path in code, their rate, what they hold."""

from __future__ import annotations

import atexit
import collections
import gc
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from pytest_memleak.explain import wording
from pytest_memleak.explain.census import LRU_CACHE, find_collections, length_function, namespaces
from pytest_memleak.explain.naming import Name, Namer, lru_cache_name
from pytest_memleak.explain.reach import Trail, is_tool, trails
from pytest_memleak.explain.static import class_name, instance_dict, is_a, mro, shallow_bytes
from pytest_memleak.explain.vocabulary import Vocabulary
from pytest_memleak.explain.watch import Watched
from pytest_memleak.model import Finding

_CANDIDATES = 40
_ROWS = 5
_SAMPLED_ENTRIES = 4
_OBJECTS_PER_ENTRY = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One growing collection.

    Args:
        name: its path of code and its owner.
        kind: its type.
        grown: entries it gained while it was watched.
        length: entries (bytes, for a buffer) it has now.
        entry_kind: the type of what it holds; None for a buffer, whose entries are bytes.
        entry_bytes: what one entry keeps alive, estimated from the newest ones.
        limit: the length at which it stops growing by itself, where it has one.
    """

    name: Name
    kind: str
    grown: int
    length: int
    entry_kind: str | None
    entry_bytes: float
    limit: int | None = None

    @property
    def is_weak(self) -> bool:
        """A weak collection does not keep its entries alive: something else does."""
        return "Weak" in self.kind

    @property
    def rank(self) -> tuple[bool, bool, float, str]:
        """Sorts the app's own first, then what keeps the most bytes alive."""
        return (self.name.owner != "app", self.is_weak, -self.grown * self.entry_bytes, self.name.path)


def find_holders(watched: Watched) -> tuple[Holder, ...]:
    """Name the collections that grew, the most telling first, at most five.

    Runs no code of the app's, keeps nothing alive.
    """
    largest = sorted(watched.collections.items(), key=lambda entry: (-entry[1], entry[0]))
    grown = dict(largest[:_CANDIDATES])
    chains = trails(find_collections(grown.keys()))
    namer = Namer()
    holders = [_describe(chain, grown[key], namer) for key, chain in chains.items()]
    holders += _rebound(watched, {holder.name.path for holder in holders})
    if watched.atexit_callbacks > 1:
        holders.append(_atexit(watched))
    unique = _merged(holder for holder in holders if not is_tool(holder.name.path))
    return tuple(sorted(unique, key=lambda holder: holder.rank)[:_ROWS])


def _describe(chain: Trail, grown: int, namer: Namer) -> Holder:
    collection = chain[-1]
    shown = _without_insides(chain)
    name = namer.name(shown)
    if type(collection) is LRU_CACHE:
        name = lru_cache_name(collection, name)
    entries = _newest(collection)
    length = length_function(type(collection))
    return Holder(
        name=name,
        kind=class_name(type(shown[-1])),
        grown=grown,
        length=length(collection) if length is not None else 0,
        entry_kind=_entry_kind(entries),
        entry_bytes=_bytes_per_entry(entries) if entries else 1.0,
        limit=_limit(shown[-1]),
    )


def _without_insides(chain: Trail) -> Trail:
    """Cut the chain at a queue, a weak set or any class that is itself a collection.

    Nobody looks for ``CACHE._Cache__data``: the holder is ``CACHE``.
    """
    for back in (2, 3):
        if len(chain) > back:
            item = chain[-back]
            inner = chain[-back + 1]
            direct = back == 2 or (type(inner) is dict and instance_dict(item) is inner)
            if direct and any(class_name(base) in _FACADES for base in mro(type(item))):
                return chain[: len(chain) - back + 1]
    return chain


_FACADES = frozenset(
    f"collections.abc.{name}" for name in ("Sized", "Container", "Collection", "Mapping", "Set", "Sequence")
) | {"queue.Queue", "asyncio.queues.Queue", "_weakrefset.WeakSet"}


def _newest(collection: Any) -> list[object]:
    """A few entries, the last ones where there is an order; none for buffers of bytes."""
    try:
        if is_a(collection, dict):
            newest = itertools.islice(reversed(dict.items(collection)), _SAMPLED_ENTRIES)
            return [pair[1] if pair[1] is not None else pair[0] for pair in newest]
        if is_a(collection, list):
            return list(list.__getitem__(collection, slice(-_SAMPLED_ENTRIES, None)))
        if is_a(collection, collections.deque):
            return list(itertools.islice(collections.deque.__reversed__(collection), _SAMPLED_ENTRIES))
        if is_a(collection, set):
            return list(itertools.islice(set.__iter__(collection), _SAMPLED_ENTRIES))
    except RuntimeError:  # another thread changed it
        return []
    if type(collection) is LRU_CACHE:
        inner = [part for part in gc.get_referents(collection) if type(part) is dict]
        return _newest(max(inner, key=len)) if inner else []
    return []


def _entry_kind(entries: Sequence[object]) -> str | None:
    """The most frequent type among the entries; of equally frequent ones the first by name."""
    if not entries:
        return None
    counts = collections.Counter(class_name(type(entry)) for entry in entries)
    return min(counts, key=lambda name: (-counts[name], name))


def _bytes_per_entry(entries: Sequence[object]) -> float:
    """What one entry keeps alive: what is reached from one sampled entry and from no other.

    What several entries reach (their class, the app) is shared and would stay without them.
    """
    reached: collections.Counter[int] = collections.Counter()
    sizes: dict[int, int] = {}
    for entry in entries:
        seen: set[int] = set()
        waiting = collections.deque([entry])
        while waiting and len(seen) < _OBJECTS_PER_ENTRY:
            item = waiting.popleft()
            if id(item) in seen or is_a(item, type) or type(item) in _SHARED:
                continue
            seen.add(id(item))
            sizes[id(item)] = shallow_bytes(item)
            waiting.extend(gc.get_referents(item))
        reached.update(seen)
    shared = 1 if len(entries) > 1 else len(entries)
    own = sum(sizes[key] for key, times in reached.items() if times <= shared)
    return 8.0 + own / len(entries)  # the collection's own slot


_SHARED = (ModuleType, FunctionType, BuiltinFunctionType)


def _limit(collection: Any) -> int | None:
    """The length at which a bounded collection stops growing."""
    if type(collection) is LRU_CACHE:
        limit = LRU_CACHE.cache_info(collection).maxsize
    elif is_a(collection, collections.deque):
        limit = _MAXLEN.__get__(collection)
    else:
        attributes = instance_dict(collection) or {}
        names = ("maxsize", "_maxsize", "_Cache__maxsize")
        limit = next((attributes[name] for name in names if name in attributes), None)
    return limit if type(limit) is int and limit > 0 else None


_MAXLEN = collections.deque.__dict__["maxlen"]


def _rebound(watched: Watched, known: set[str]) -> list[Holder]:
    """What grows because a name is bound to a larger object each time: ``LOG += line``."""
    spaces = dict(namespaces())
    words = Vocabulary()
    rows = []
    for (module, name), grown in watched.names.items():
        value = spaces.get(module, {}).get(name)
        path = f"{module}.{name}"
        if value is None or path in known or not words.allows(name):
            continue
        entries = list(value[-_SAMPLED_ENTRIES:]) if type(value) in (list, tuple) else []
        rows.append(
            Holder(
                name=Name(path=path, owner="app"),
                kind=class_name(type(value)),
                grown=grown,
                length=len(value),
                entry_kind=_entry_kind(entries),
                entry_bytes=_bytes_per_entry(entries) if entries else 1.0,
            )
        )
    return rows


def _atexit(watched: Watched) -> Holder:
    return Holder(
        name=Name(path="atexit callbacks", owner="Python"),
        kind="atexit.register",
        grown=watched.atexit_callbacks,
        length=atexit._ncallbacks(),
        entry_kind="function",
        entry_bytes=100.0,
    )


def _merged(holders: Iterable[Holder]) -> list[Holder]:
    """One row per path: the lists in ``CACHE[...]`` are one holder, as is a cache with two dicts."""
    by_path: dict[str, Holder] = {}
    for holder in sorted(holders, key=lambda holder: (holder.name.path, -holder.entry_bytes, holder.grown)):
        first = by_path.setdefault(holder.name.path, holder)
        if first is not holder and holder.name.path.endswith("[...]"):
            by_path[first.name.path] = replace(
                first, grown=first.grown + holder.grown, length=first.length + holder.length
            )
    return list(by_path.values())


def holder_finding(holder: Holder, watched: Watched) -> Finding:
    """One row of the report."""
    buffer = holder.entry_kind is None
    unit = "bytes" if buffer else "entries"
    rate = per_request(holder.grown, watched, unit)
    details = [f"holds {wording.count(holder.length)} {unit} now"]
    if not buffer:
        details.append(f"of type {holder.entry_kind}, about {wording.size(holder.entry_bytes)} each")
    if holder.is_weak:
        details.append("a weak collection keeps nothing alive: something else holds its entries")
    path = holder.name.path
    return Finding(
        kind="holder",
        summary=f"{path} ({holder.kind}, {holder.name.owner}) grows by {rate}",
        details=tuple(details),
        owner=holder.name.owner,
    )


def per_request(grown: float, watched: Watched, unit: str) -> str:
    """``1 entry per request``, or per iteration where no requests are sent."""
    per, number = ("request", watched.requests) if watched.requests else ("iteration", watched.iterations)
    rate = wording.count(grown / number)
    return f"{rate} {_SINGULAR.get(unit, unit) if rate == '1' else unit} per {per}"


_SINGULAR = {"entries": "entry", "bytes": "byte", "objects": "object"}


def filling_note(holder: Holder, watched: Watched) -> str | None:
    """A bounded cache that is not full yet grows like a leak and then stops."""
    if holder.limit is None or not 0 < holder.length < holder.limit:
        return None
    left = (holder.limit - holder.length) * watched.iterations / max(holder.grown, 1)
    return (
        f"{holder.name.path} is bounded and still filling: {wording.count(holder.length)} of "
        f"{wording.count(holder.limit)} entries. It stops growing by itself after about "
        f"{wording.count(left)} more iterations; measure longer, or fill it before the test."
    )
