"""The path of code that leads to an object: ``app.cache.store["x"]``, ``hidden in make.<locals>.add``.

A chain found by `reach` is cut at its last object that has a name of its own (a module, a class, a
function); what follows is written as attributes, keys and elements. Values are never printed; keys
and attribute names only when they are written in code (see `vocabulary`).
"""

from __future__ import annotations

import contextvars
import threading
from dataclasses import dataclass, replace
from types import CellType, FunctionType
from typing import Any

from pytest_memleak.explain.census import LRU_CACHE, module_kind, namespaces
from pytest_memleak.explain.reach import SUSPENDED, Trail, running_loop
from pytest_memleak.explain.static import instance_dict, is_a, members, module_file, module_name
from pytest_memleak.explain.vocabulary import Vocabulary, defines
from pytest_memleak.origin import owner_of

_THREAD_LOCAL = threading.local


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A path of code, and the code it begins in.

    Args:
        path: as it would be written.
        owner: whose code that is: ``app``, ``httpx 0.28.1``, ``Python``.
        module: the module; empty where none is known.
    """

    path: str
    owner: str
    module: str = ""


class Namer:
    """Writes chains of objects as code. One per scan: it reads sources lazily and keeps them."""

    def __init__(self) -> None:
        self.words = Vocabulary()
        self._asked: dict[int, tuple[object, dict[int, object] | None]] = {}
        self._modules = {id(namespace): (name, namespace) for name, namespace in namespaces()}

    def name(self, trail: Trail) -> Name:
        """The path for a chain of objects from a root to the collection."""
        start = max((index for index, item in enumerate(trail) if self._has_own_name(item, trail, index)), default=0)
        anchor, rest = trail[start], trail[start + 1 :]
        if id(anchor) in self._modules:
            return self._in_module(anchor, rest)
        if type(anchor) is FunctionType:
            return self._in_function(anchor, rest)
        if type(anchor) in SUSPENDED:
            return self._in_coroutine(anchor, rest)
        if is_a(anchor, type):
            return self._at_class(anchor, self.words.class_name(anchor) + self._steps(anchor, rest))  # type: ignore[arg-type]
        if type(anchor) is contextvars.Context:
            return self._in_context(anchor, rest)
        if anchor is running_loop():
            return Name(path="asyncio.get_running_loop()" + self._steps(anchor, rest), owner="Python", module="asyncio")
        kind = self.words.class_name(type(anchor))
        article = "" if kind.startswith("a class made from ") else "a "
        steps = self._steps(anchor, rest).removeprefix(".")
        return self._at_class(type(anchor), f"{steps} of {article}{kind}" if steps else f"{article}{kind}")

    @staticmethod
    def _at_class(kind: type, path: str) -> Name:
        return Name(path=path, owner=_class_owner(kind), module=module_name(kind))

    def _has_own_name(self, item: object, trail: Trail, index: int) -> bool:
        if id(item) in self._modules or is_a(item, type) or type(item) in SUSPENDED:
            return True
        return type(item) is FunctionType and index + 1 < len(trail)

    def _in_module(self, namespace: Any, rest: Trail) -> Name:
        name, _ = self._modules[id(namespace)]
        path = namespace.get("__file__")
        owner = "app" if module_kind(namespace) == "app" else owner_of(path if type(path) is str else "<")
        if not rest:
            return Name(path=f"{name}.__dict__", owner=owner, module=name)
        attribute = self._key_of(namespace, rest[0])
        if type(attribute) is not str or not self.words.allows_in_module(attribute, path):
            return Name(path=f"{name}[...]" + self._steps(rest[0], rest[1:]), owner=owner, module=name)
        if type(path) is str and not defines(path, attribute):
            origin = self._defined_elsewhere(attribute, rest[0])
            if origin is not None:
                name, owner = origin
        if name == "asyncio.events":
            name = "asyncio"
        return Name(path=f"{name}.{attribute}" + self._steps(rest[0], rest[1:]), owner=owner, module=name)

    def _defined_elsewhere(self, attribute: str, item: object) -> tuple[str, str] | None:
        """The module that makes an object another one imported."""
        for name, namespace in self._modules.values():
            path = namespace.get("__file__")
            if namespace.get(attribute) is item and type(path) is str and defines(path, attribute):
                return name, owner_of(path)
        return None

    def _in_function(self, function: Any, rest: Trail) -> Name:
        name = self.words.function_name(function)
        path = name + self._steps(function, rest)
        closure = function.__closure__ or ()
        for variable, cell in zip(function.__code__.co_freevars, closure, strict=False):
            if len(rest) > 1 and rest[1] is cell:
                path = f"{variable}{self._steps(rest[2], rest[3:])} in {name}"
        if rest[0] is function.__defaults__ or rest[0] is function.__kwdefaults__:
            path = f"{_parameter(function, rest[1])}{self._steps(rest[1], rest[2:])}, default of {name}"
        return Name(path=path, owner=owner_of(function.__code__.co_filename), module=str(function.__module__))

    def _in_coroutine(self, suspended: Any, rest: Trail) -> Name:
        kind = type(suspended)
        frame = next((value for name, value in _frame_of(suspended) if name), None)
        code = frame.f_code if frame is not None else None
        owner = owner_of(code.co_filename) if code is not None else "Python"
        module = frame.f_globals.get("__name__", "") if frame is not None else ""
        name = f"{module}.{code.co_qualname if code is not None else kind.__name__}"
        if not rest:
            return Name(path=f"a suspended {kind.__name__} {name}", owner=owner, module=module)
        if type(rest[0]) is CellType and len(rest) > 1:  # a variable of the function around
            rest = rest[1:]
        variables = dict(frame.f_locals) if frame is not None else {}
        variable, rest = self._local(variables, rest)
        return Name(path=f"{variable}{self._steps(rest[0], rest[1:])}, local of {name}", owner=owner, module=module)

    def _local(self, variables: dict[str, object], rest: Trail) -> tuple[str, Trail]:
        """The variable that leads to `rest`, and the chain that begins with its value.

        What a suspended call has on its stack (``h.rows.append(await …)``) is as a rule an attribute of a variable.
        """
        variable = self._key_of(variables, rest[0])
        if variable is not None:
            return str(variable), rest
        for name, value in variables.items():
            attributes = instance_dict(value) or {}
            if self._key_of(attributes, rest[0]) is not None or any(rest[0] is held for _, held in members(value)):
                return name, (value, *rest)
        return "a value", rest

    def _in_context(self, context: contextvars.Context, rest: Trail) -> Name:
        """A value that only other contexts than the current one hold, those of suspended tasks."""
        if not rest:
            return Name(path="a context", owner="Python", module="contextvars")
        variable = next((key for key, value in context.items() if value is rest[0]), None)
        for name, namespace in self._modules.values():
            attribute = self._key_of(namespace, variable)
            if variable is not None and attribute is not None:
                path = namespace.get("__file__")
                owner = owner_of(path if type(path) is str else "<")
                path = f"{name}.{attribute}.get()" + self._steps(rest[0], rest[1:])
                return Name(path=path, owner=owner, module=name)
        return Name(path="a contextvar" + self._steps(rest[0], rest[1:]), owner="Python", module="contextvars")

    def _steps(self, parent: object, rest: Trail) -> str:
        """``.attribute``, ``["key"]`` and ``[...]`` from `parent` down to the last object of `rest`."""
        text = ""
        while rest:
            child = rest[0]
            if is_a(parent, _THREAD_LOCAL) and len(rest) > 2:
                # one dict per thread, in a dict by thread
                text += self._attribute(parent, rest[1], rest[2])
                parent, rest = rest[2], rest[3:]
                continue
            namespace = self._namespace_of(parent, child)
            if namespace and len(rest) > 1:
                text += self._attribute(parent, child, rest[1])
                parent, rest = rest[1], rest[2:]
            else:
                text += ".__dict__" if namespace else self._step(parent, child)
                parent, rest = child, rest[1:]
        return _short_state(text)

    @staticmethod
    def _namespace_of(parent: object, child: object) -> bool:
        if type(child) is not dict:
            return False
        return is_a(parent, type) or instance_dict(parent) is child

    def _attribute(self, parent: object, namespace: Any, child: object) -> str:
        key = self._key_of(namespace, child)
        owner: Any = parent if is_a(parent, type) else type(parent)
        return f".{key}" if self.words.allows(key, owner) else "[...]"

    def _step(self, parent: object, child: object) -> str:
        if is_a(parent, dict):
            key = self._key_of(parent, child)
            return f'["{key}"]' if self.words.allows(key) else "[...]"
        if type(parent) is contextvars.ContextVar:
            return ".get()"
        for name, held in members(parent):  # slots: names by definition, also those of C types
            if held is child:
                return f".{name}"
        key = self._key_of(instance_dict(parent) or {}, child)
        return f".{key}" if self.words.allows(key, type(parent)) else "[...]"

    def lru_cache_name(self, cache: Any, name: Name) -> Name:
        """An ``lru_cache`` is known by the function it wraps and by its ``maxsize``."""
        attributes = instance_dict(cache) or {}
        function = attributes.get("__wrapped__")
        maxsize = LRU_CACHE.cache_info(cache).maxsize
        if type(function) is not FunctionType:
            return replace(name, path=f"functools.lru_cache of {name.path} (maxsize={maxsize})")
        path = f"functools.lru_cache of {self.words.function_name(function)} (maxsize={maxsize})"
        return Name(path=path, owner=owner_of(function.__code__.co_filename), module=str(function.__module__))

    def _key_of(self, mapping: Any, value: object) -> object | None:
        """The key whose value *is* `value`; None when it is a key itself or gone."""
        if id(mapping) not in self._asked:
            self._asked[id(mapping)] = mapping, None
            return _key_in(mapping, value)
        _, index = self._asked[id(mapping)]
        if index is None:  # who asks twice asks a thousand times: for each of the lists in a dict
            index = {id(held): key for key, held in reversed(list(dict.items(mapping)))}
            self._asked[id(mapping)] = mapping, index
        return index.get(id(value))


def attribute_of(item: object, value: object) -> object | None:
    """The attribute or slot of an instance whose value *is* `value`; None where there is none."""
    for name, held in members(item):
        if held is value:
            return name
    attributes = instance_dict(item)
    return _key_in(attributes, value) if attributes is not None else None


def _key_in(mapping: Any, value: object) -> object | None:
    try:
        return next((key for key, held in dict.items(mapping) if held is value), None)
    except RuntimeError:  # another thread changed it
        return None


def _parameter(function: Any, default: object) -> str:
    """The parameter whose default is `default`."""
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    pairs = [*zip(positional[len(positional) - len(defaults) :], defaults, strict=False)]
    pairs += (function.__kwdefaults__ or {}).items()
    return next((name for name, value in pairs if value is default), "a parameter")


def _frame_of(suspended: Any) -> list[tuple[str, Any]]:
    frames = [(name, getattr(suspended, name, None)) for name in ("cr_frame", "ag_frame", "gi_frame")]
    return [(name, frame) for name, frame in frames if frame is not None]


def _class_owner(kind: type) -> str:
    path = module_file(module_name(kind))
    return owner_of(path) if path else ("app" if module_name(kind) == "__main__" else owner_of("<"))


def _short_state(text: str) -> str:
    """Starlette keeps ``app.state.x`` in ``app.state._state["x"]``; people write the former."""
    head, found, tail = text.partition('.state._state["')
    if not found:
        return text
    name, _, rest = tail.partition('"]')
    return f"{head}.state.{name}{rest}"
