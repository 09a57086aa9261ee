"""Find everything that captured a clock function and give it another one, in one pass over the heap."""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# Waits for something real with a timeout. On a clock that stands still these would wait for ever.
_WAITING = (
    "concurrent.futures._base",
    "multiprocessing.connection",
    "queue",
    "sched",
    "selectors",
    "socketserver",
    "subprocess",
    "threading",
)
# Packages whose captured clocks stay real: the above, and whatever runs and times the tests.
REAL_TIME = frozenset({name.partition(".")[0] for name in _WAITING}) | {
    "_pytest", "coverage", "cProfile", "execnet", "pluggy", "profile", "py", "pytest", "pytest_cov",
    "pytest_memleak", "pytest_rerunfailures", "pytest_timeout", "time", "timeit", "xdist",
}  # fmt: skip
# Of those, the ones that read the clock as `time.monotonic()` need a `time` of their own.
_OWN_TIME = REAL_TIME - {"pytest_memleak", "time", "timeit", "profile", "cProfile"}

Clocks = Mapping[int, Callable[..., Any]]


def rebind(replacements: Clocks, captured: Sequence[Callable[..., Any]]) -> None:
    """Give every module, class, object and function that captured one of these functions another one.

    Args:
        replacements: id of a captured function -> what stands in its place from now on.
        captured: those functions.
    """
    holders = gc.get_referrers(*captured)
    # Namespaces and tuples of defaults are found first; what counts is whose they are.
    inner = [holder for holder in holders if isinstance(holder, dict | tuple)]
    for owner in itertools.chain(holders, gc.get_referrers(*inner) if inner else ()):
        if isinstance(owner, types.FunctionType):
            _rebind_defaults(owner, replacements)
        elif isinstance(owner, types.CellType):
            if id(_content(owner)) in replacements:
                owner.cell_contents = replacements[id(_content(owner))]
        elif not isinstance(owner, dict | tuple | list | types.FrameType) and not _stays_real(owner):
            _rebind_attributes(owner, replacements)


def _stays_real(owner: object) -> bool:
    if isinstance(owner, types.ModuleType):
        return _package_of(owner.__name__) in REAL_TIME
    return _package_of((owner if isinstance(owner, type) else type(owner)).__module__) in REAL_TIME


def _package_of(name: object) -> str:
    return name.partition(".")[0] if isinstance(name, str) else ""


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # an empty cell
        return None


def _rebind_defaults(function: types.FunctionType, replacements: Clocks) -> None:
    if _package_of(function.__module__) in REAL_TIME:
        return
    defaults, keyword_defaults = function.__defaults__ or (), function.__kwdefaults__ or {}
    if any(id(value) in replacements for value in defaults):
        function.__defaults__ = tuple(replacements.get(id(value), value) for value in defaults)
    for name, value in keyword_defaults.items():
        keyword_defaults[name] = replacements.get(id(value), value)


def _rebind_attributes(owner: object, replacements: Clocks) -> None:
    attributes = getattr(owner, "__dict__", None)
    if not isinstance(attributes, Mapping):
        return
    for name, value in list(attributes.items()):
        if isinstance(name, str) and id(value) in replacements:
            # Frozen dataclasses and built-in classes refuse: they keep the clock they have.
            with contextlib.suppress(AttributeError, TypeError):
                setattr(owner, name, replacements[id(value)])


_real_module: types.ModuleType | None = None


def give_real_time(real: Mapping[str, Callable[..., Any]]) -> None:
    """Give code that waits for real a ``time`` module that stays real; again for what was imported since."""
    global _real_module
    if _real_module is None:
        for name in _WAITING:
            importlib.import_module(name)
        _real_module = types.ModuleType("time", time.__doc__)
        _real_module.__dict__.update(vars(time) | dict(real))
    for module in _modules_on_real_time():
        if vars(module).get("time") is time:
            module.__dict__["time"] = _real_module


def take_back_real_time() -> None:
    """Undo `give_real_time`."""
    for module in _modules_on_real_time():
        if _real_module is not None and vars(module).get("time") is _real_module:
            module.__dict__["time"] = time


def _modules_on_real_time() -> Iterator[types.ModuleType]:
    for name, module in list(sys.modules.items()):
        if _package_of(name) in _OWN_TIME and isinstance(module, types.ModuleType):
            yield module
