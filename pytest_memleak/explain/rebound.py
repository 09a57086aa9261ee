"""What the app binds to names, attributes and keys: it grows by rebinding, ``LOG += line``.

Such growth is a new and larger object each time, so that no collection grows. Looked at are the
globals of the app's modules and, one step further, the attributes of its classes and of the objects
that are bound there, and the entries of small dicts.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from pytest_memleak.explain.census import module_kind, namespaces
from pytest_memleak.explain.static import class_namespace, instance_dict, is_a, members, module_name

_MOST_ATTRIBUTES = 100
_WIDEST_LINK = 8
_DEEPEST = 20_000

_LENGTHS: tuple[tuple[type, Callable[[Any], int]], ...] = (
    (str, len),
    (bytes, len),
    (tuple, len),
    (frozenset, len),
    (list, len),
    (dict, len),
    (set, len),
    (int, lambda number: int.bit_length(number) // 8),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A value and the path of code that is bound to it.

    Args:
        path: ``module.name``, ``module.name.attribute`` or ``module.name["key"]``.
        words: the words of the path with the type that owns each; to be printed only when they are written in code.
        value: what is bound.
    """

    path: str
    words: tuple[tuple[str, type | None], ...]
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundSizes:
    """Lengths (bytes, for a number or an array) and depths of what is bound, by path."""

    lengths: dict[str, int]
    depths: dict[str, int]


def bindings() -> Iterator[Binding]:
    """Everything that the app's modules bind, and what is bound one step further."""
    for module, namespace in namespaces():
        if module_kind(namespace) != "app":
            continue
        for name, value in list(namespace.items()):
            if type(name) is str and not name.startswith("__"):
                path, words = f"{module}.{name}", ((name, None),)
                yield Binding(path=path, words=words, value=value)
                for step, word, inner in _inside(value, module):
                    yield Binding(path=path + step, words=(*words, word), value=inner)


def measure_bound() -> BoundSizes:
    """Measure what the app binds. Keeps numbers only."""
    measures = _measures()
    lengths: dict[str, int] = {}
    depths: dict[str, int] = {}
    for binding in bindings():
        measure = measures.get(id(type(binding.value)))
        if measure is not None:
            lengths[binding.path] = measure(binding.value)
            depth = _depth(binding.value)
            if depth > 1:
                depths[binding.path] = depth
    return BoundSizes(lengths=lengths, depths=depths)


def bound_length(value: Any) -> int:
    """The length that `measure_bound` gives a value; 0 where it gives none."""
    measure = _measures().get(id(type(value)))
    return measure(value) if measure is not None else 0


def _measures() -> dict[int, Callable[[Any], int]]:
    measures = {id(kind): measure for kind, measure in _LENGTHS}
    numpy = sys.modules.get("numpy")
    array = (instance_dict(numpy) or {}).get("ndarray")
    if type(array) is type:
        measures[id(array)] = class_namespace(array)["nbytes"].__get__
    return measures


def _inside(value: Any, module: str) -> Iterator[tuple[str, tuple[str, type | None], Any]]:
    """The step, its word with its owner, and the value of what an object of the app's binds itself."""
    if type(value) in (FunctionType, ModuleType):
        return
    if is_a(value, type):
        if module_name(value) == module:
            yield from _attributes(class_namespace(value).items(), value)
    elif type(value) is dict:
        if len(value) <= _MOST_ATTRIBUTES:
            for key, inner in list(value.items()):
                if type(key) is str:
                    yield f'["{key}"]', (key, None), inner
    else:
        attributes = instance_dict(value)
        if attributes is not None and len(attributes) <= _MOST_ATTRIBUTES:
            yield from _attributes(attributes.items(), type(value))
        elif module_name(type(value)) == module:
            yield from _attributes(members(value), type(value))


def _attributes(pairs: Any, owner: type) -> Iterator[tuple[str, tuple[str, type | None], Any]]:
    for name, inner in list(pairs):
        if type(name) is str and not name.startswith("__"):
            yield f".{name}", (name, owner), inner


def _depth(value: Any) -> int:
    """How many small dicts, tuples or lists of one kind and length follow one another, each held by the one before."""
    kind = type(value)
    if kind not in (dict, tuple, list) or len(value) > _WIDEST_LINK:
        return 0
    seen: set[int] = set()
    link = value
    while link is not None and id(link) not in seen and len(seen) < _DEEPEST:
        seen.add(id(link))
        inner = gc.get_referents(link)
        link = next((part for part in inner if type(part) is kind and len(part) == len(value)), None)
    return len(seen)
