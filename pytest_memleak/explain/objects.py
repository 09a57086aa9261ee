"""Growth that is no collection's: types whose count grows, linked objects, cycles, gc.garbage."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from pytest_memleak.explain import wording
from pytest_memleak.explain.census import of_type
from pytest_memleak.explain.holder import per_request
from pytest_memleak.explain.naming import Name, Namer
from pytest_memleak.explain.reach import is_tool, trails
from pytest_memleak.explain.rebound import bindings
from pytest_memleak.explain.static import class_name, module_file, module_name, mro
from pytest_memleak.explain.vocabulary import Vocabulary
from pytest_memleak.explain.watch import Watched
from pytest_memleak.model import Finding
from pytest_memleak.origin import kind_of

_ROWS = 8
_TYPES_TO_FOLLOW = 3
# Per iteration: fewer are what the censuses keep themselves, a cache or a table that was enlarged.
_FEWEST = 0.5


def growing_types(watched: Watched) -> tuple[tuple[type, int], ...]:
    """The types whose number of objects grew by one in two iterations at least, the app's first, then by growth."""
    kinds = {id(kind): kind for kind in map(type, gc.get_objects())}
    grown = [
        (kinds[key], number)
        for key, number in watched.types.items()
        if key in kinds and number >= _FEWEST * watched.iterations and not is_tool(module_name(kinds[key]))
    ]
    return tuple(sorted(grown, key=lambda entry: (not is_app_type(entry[0]), -entry[1], class_name(entry[0]))))


def is_app_type(kind: type) -> bool:
    """Whether a class is defined in the app's own code."""
    path = module_file(module_name(kind))
    return module_name(kind) == "__main__" if path is None else kind_of(path) == "app"


def types_finding(types: Sequence[tuple[type, int]], watched: Watched) -> Finding | None:
    """The growing types as one finding; None when none grows."""
    if not types:
        return None
    words = Vocabulary()
    rows = [f"{words.class_name(kind)}: {per_request(grown, watched, 'objects')}" for kind, grown in types[:_ROWS]]
    if len(types) > _ROWS:
        rows.append(f"and {len(types) - _ROWS} more types")
    first, grown = types[0]
    return Finding(
        kind="object_growth",
        summary=f"{words.class_name(first)} grows by {per_request(grown, watched, 'objects')}",
        details=tuple(rows),
    )


def linked_holder(types: Sequence[tuple[type, int]], watched: Watched) -> tuple[Name, type, int] | None:
    """The app's name that leads to a chain of growing objects, where no collection grows; their type and growth.

    A chain of dicts, tuples or lists got deeper while it was watched. Of a chain of the app's own objects the ends,
    the oldest and the newest of the type, are looked for: one of them is what a name refers to.
    """
    words = Vocabulary()
    for binding in bindings() if watched.depths else ():
        grown = watched.depths.get(binding.path, 0)
        if grown >= _FEWEST * watched.iterations and all(words.allows(*word) for word in binding.words):
            return Name(path=binding.path, owner="app"), type(binding.value), grown
    followed = [(kind, grown) for kind, grown in types if is_app_type(kind) or BaseException in mro(kind)]
    for kind, grown in followed[:_TYPES_TO_FOLLOW]:
        instances = list(of_type(gc.get_objects(), kind))
        ends = {id(item): item for item in (*instances[:2], *instances[-2:])}
        chains = sorted(trails(ends).values(), key=len)
        names = [Namer().name(chain) for chain in chains[:1]]
        if names and names[0].owner == "app" and "[...]" not in names[0].path:
            return names[0], kind, grown
    return None


def linked_finding(name: Name, kind: type, grown: int, watched: Watched) -> Finding:
    """The holder finding for linked objects."""
    return Finding(
        kind="holder",
        summary=(
            f"{name.path} ({name.owner}) leads to linked {Vocabulary().class_name(kind)} objects, which grow by "
            f"{per_request(grown, watched, 'objects')}"
        ),
        details=("no collection grows: each object refers to the one before it",),
        owner=name.owner,
    )


def cycles_finding(watched: Watched) -> Finding | None:
    """What only ``gc.collect()`` frees, and of which types."""
    if not watched.cycle_types:
        return None
    rows = tuple(f"{name}: {wording.count(number)} objects per iteration" for name, number in watched.cycle_types)
    return Finding(
        kind="cyclic_garbage",
        summary=(
            f"about {wording.size(watched.cycle_bytes)} per iteration are reference cycles awaiting "
            "collection: gc.collect() frees them"
        ),
        details=(*rows, "break the cycle, or make sure that the garbage collector is not disabled"),
    )


def uncollectable_finding(watched: Watched) -> Finding | None:
    """Objects the collector found and could not free."""
    if not watched.uncollectable:
        return None
    names = sorted(set(watched.uncollectable))
    return Finding(
        kind="uncollectable",
        summary=(f"gc.garbage gained {len(watched.uncollectable)} uncollectable objects: {', '.join(names[:5])}"),
        details=("look for gc.set_debug(gc.DEBUG_SAVEALL) or a C extension without tp_clear",),
    )
