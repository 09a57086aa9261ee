"""A growing collection: its path in code, its rate, what it holds; and its row in the report."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_memleak.explain import wording
from pytest_memleak.explain.filling import Limit
from pytest_memleak.explain.naming import Name
from pytest_memleak.explain.sizing import EntrySize
from pytest_memleak.explain.watch import Watched
from pytest_memleak.model import Finding

# Of the growth: a holder of less is no answer to where the memory goes.
_SMALL = 0.05
# Of what it would hold had it grown all the time: a batch that is emptied now and then holds less.
_PASSING = 0.5


_WEAK = frozenset({"weakref.WeakSet", "_weakrefset.WeakSet", "weakref.WeakValueDictionary"})
_WEAK_KEYS = "weakref.WeakKeyDictionary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One growing collection, or several under one path.

    Args:
        name: its path of code and its owner.
        kind: its type.
        grown: entries it gained while it was watched.
        length: entries (bytes, for a buffer) it has now.
        entry_kind: the type of what it holds; None for a buffer, whose entries are bytes.
        entry: what one entry keeps alive, estimated from the newest ones.
        limit: where it stops growing by itself, if it has such a bound.
        share: the part of the whole growth that its entries account for, 0 to 1 (or above).
        kept: what it has of the entries that would be there had it kept this rate through the run.
    """

    name: Name
    kind: str
    grown: int
    length: int
    entry_kind: str | None
    entry: EntrySize
    limit: Limit | None = None
    share: float = 1.0
    kept: float = 1.0

    @property
    def is_weak(self) -> bool:
        """Whether something else keeps its entries alive; the values of a WeakKeyDictionary are kept by itself."""
        return self.kind in _WEAK

    @property
    def is_small(self) -> bool:
        """Whether it is known to hold next to nothing of the growth."""
        return self.share < _SMALL and not self.entry.is_lower_bound

    @property
    def may_lead(self) -> bool:
        """Whether it may be named as what holds the growth."""
        return not (self.is_weak or self.is_small)

    @property
    def rank(self) -> tuple[bool, bool, bool, float, str]:
        """Sorts what can be the cause first, of that the app's own, then what keeps the most bytes alive."""
        unlikely = self.is_small or self.kept < _PASSING
        return (unlikely, self.name.owner != "app", self.is_weak, -self.share, self.name.path)


def holder_finding(holder: Holder, watched: Watched) -> Finding:
    """One row of the report."""
    buffer = holder.entry_kind is None
    unit = "bytes" if buffer else "entries"
    rate = per_request(holder.grown, watched, unit)
    details = [f"holds {wording.count(holder.length)} {unit} now"]
    if not buffer:
        about = "at least" if holder.entry.is_lower_bound else "about"
        details.append(f"of type {holder.entry_kind}, {about} {wording.size(holder.entry.size_bytes)} each")
    if holder.is_weak:
        details.append("a weak collection keeps nothing alive: something else holds its entries")
    elif holder.kind == _WEAK_KEYS:
        details.append("its values are kept: one that refers to its key keeps the entry for ever")
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
