"""The shortest chain of objects that leads from code to a growing collection.

One breadth-first walk over what objects refer to (``gc.get_referents``: no code of theirs runs)
starts at the namespaces of all imported modules, the app's first, so that among equally short
chains the app's own wins. What no module reaches is looked for from the app's functions (closures),
suspended coroutines (local variables) and instances. Frames are never entered: they hold everything
for a moment. pytest, this plugin and other tools of the test run are neither roots nor steps.
"""

from __future__ import annotations

import collections
import contextvars
import gc
import sys
from collections.abc import Iterable, Mapping, Set
from itertools import compress
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    ModuleType,
    TracebackType,
)
from typing import Any

from pytest_memleak.explain.census import count_types, module_kind, namespaces, of_type
from pytest_memleak.explain.static import module_file, module_name
from pytest_memleak.origin import kind_of

SUSPENDED: tuple[type, ...] = (CoroutineType, AsyncGeneratorType, GeneratorType)
_SKIPPED = frozenset(
    map(
        id,
        (
            contextvars.Context,
            FrameType,
            CodeType,
            ModuleType,
            TracebackType,
            str,
            bytes,
            int,
            float,
            *SUSPENDED,
        ),
    )
)
_TOOLS = ("_pytest", "pytest", "pluggy", "pytest_asyncio", "pytest_memleak", "xdist", "execnet",
          "coverage", "memray", "tracemalloc")  # fmt: skip

_MOST_ENTRIES = 2_000

Trail = tuple[object, ...]


def is_tool(module: str) -> bool:
    """Whether a module belongs to the test run rather than to what is tested."""
    return module.partition(".")[0] in _TOOLS


def trails(targets: Mapping[int, object]) -> dict[int, Trail]:
    """The chain from a root to each target that can be reached, by the target's id.

    Args:
        targets: the objects looked for, by id.

    Returns:
        For each target found: the objects from the root (a module's namespace, a function, a
        suspended coroutine or an instance) to the target, both included.
    """
    modules = _module_roots()
    strangers = {id(space) for space in modules if _is_foreign_module(space)}
    found = _walk(modules, targets, strangers, most_entries=_MOST_ENTRIES)
    for most_entries in (_MOST_ENTRIES, None):
        missing = {key: item for key, item in targets.items() if key not in found}
        if missing and (most_entries or not found):
            found.update(_walk([*modules, *_nameless_roots()], missing, most_entries=most_entries))
    return found


def _is_foreign_module(root: Any) -> bool:
    return type(root) is dict and module_kind(root) != "app"


def _module_roots() -> list[object]:
    """The namespaces of all modules: the app's, Python's, the dependencies'; then the event loop."""
    rank = {"app": 0, "python": 1, "dependency": 2}  # dependencies refer to Python's, seldom the reverse
    ranked = [
        (rank.get(module_kind(namespace), 3), name, namespace) for name, namespace in namespaces() if not is_tool(name)
    ]
    ranked.sort(key=lambda entry: entry[:2])
    return [namespace for _, _, namespace in ranked] + [running_loop()]


def running_loop() -> object | None:
    """The event loop: its timers and callbacks grow, and often no module refers to it."""
    asyncio = sys.modules.get("asyncio")
    return asyncio.events._get_running_loop() if asyncio is not None else None


def _nameless_roots() -> list[object]:
    """Functions, coroutines and instances that only a frame or native code holds."""
    ranked: list[tuple[tuple[int, str], object]] = []
    objects = gc.get_objects()
    for item in of_type(objects, *_possible_roots(objects)):
        kind = type(item)
        if kind is FunctionType:
            place = (0, f"{item.__module__}.{item.__qualname__}")
            path, module = item.__code__.co_filename, str(item.__module__)
        elif kind in SUSPENDED:
            code = _code_of(item)
            place, path, module = (1, item.__qualname__), code.co_filename if code else "<", ""
        else:
            module = module_name(kind)
            path = module_file(module) or "<"
            place = (2, "") if kind is contextvars.Context else (3, f"{module}.{kind.__name__}")
        owner = kind_of(path)
        if owner == "plugin" or is_tool(module):
            continue
        if owner == "app" or kind in SUSPENDED or kind is contextvars.Context:
            ranked.append(((place[0] + (4 if owner != "app" and kind in SUSPENDED else 0), place[1]), item))
    ranked.sort(key=lambda entry: entry[0])
    return [item for _, item in ranked]


def _possible_roots(objects: list[Any]) -> list[type]:
    """The types of what only a frame or native code may hold; not those that there are thousands of: they leak."""
    kinds = {id(kind): kind for kind in map(type, objects)}
    always = (FunctionType, contextvars.Context, *SUSPENDED)
    return [
        kind
        for key, number in count_types(objects).items()
        if (kind := kinds[key]) in always
        or (number <= _MOST_ENTRIES and kind_of(module_file(module_name(kind)) or "<") == "app")
    ]


def _code_of(suspended: Any) -> CodeType | None:
    for name in ("cr_code", "ag_code", "gi_code"):
        code = getattr(suspended, name, None)  # C types: no code of the app's runs
        if type(code) is CodeType:
            return code
    return None


def _walk(
    roots: Iterable[object],
    targets: Mapping[int, object],
    strangers: Set[int] = frozenset(),
    *,
    most_entries: int | None,
) -> dict[int, Trail]:
    """Breadth first from all roots at once; the first chain to reach a target is its shortest.

    From a namespace among `strangers` no instance of another module's class is entered: the loggers
    that a hundred modules hold should be named after `logging`. Of what holds more than `most_entries` objects,
    as a collection of a million leaked ones does, only that many are entered besides the targets.
    """
    parents: dict[int, object] = {}
    waiting: collections.deque[object] = collections.deque()
    missing = set(targets)
    for root in roots:
        if id(root) not in parents:
            parents[id(root)] = None
            waiting.append(root)
            missing.discard(id(root))
    context = contextvars.copy_context()
    entered: dict[int, bool] = {}
    while waiting and missing:
        item = waiting.popleft()
        children = _children(item, context)
        if most_entries and len(children) > most_entries:
            children = [
                *compress(children, map(missing.__contains__, map(id, children))),
                *children[: most_entries // 2],
                *children[-most_entries // 2 :],
            ]
        for child in children:
            key = id(child)
            if key in parents:
                continue
            if key in missing:
                missing.discard(key)
            elif not gc.is_tracked(child):
                continue
            kind = type(child)
            if id(kind) not in entered:
                entered[id(kind)] = id(kind) not in _SKIPPED and not is_tool(module_name(kind))
            if not entered[id(kind)] or (kind is FunctionType and is_tool(str(child.__module__))):
                continue
            if id(item) in strangers and _is_stranger(child, item):
                continue
            parents[key] = item
            # a class or an instance and its namespace count as one step
            if kind is dict and issubclass(type(item), type):
                waiting.appendleft(child)
            else:
                waiting.append(child)
    return {key: _trail(item, parents) for key, item in targets.items() if key in parents}


def _is_stranger(child: object, namespace: Any) -> bool:
    module = module_name(type(child))
    return module not in ("builtins", "") and module.partition(".")[0] != str(namespace.get("__name__")).partition(".")[
        0
    ].removeprefix("_")


def _children(item: object, context: contextvars.Context) -> list[Any]:
    children = gc.get_referents(item)
    if type(item) is contextvars.ContextVar and item in context:
        children.append(context[item])
    elif type(item) is contextvars.Context:
        children.extend(item.values())
    return children


def _trail(item: object, parents: Mapping[int, object]) -> Trail:
    chain = [item]
    while (parent := parents[id(chain[-1])]) is not None:
        chain.append(parent)
    return tuple(reversed(chain))
