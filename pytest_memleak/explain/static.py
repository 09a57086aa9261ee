"""Reading objects without running any code of theirs.

``isinstance``, ``len``, ``getattr`` and ``==`` may call what the app's classes define (a proxy that
opens a connection, a mock that records the call). Everything here goes through the descriptors of
the built-in ``type`` and ``object`` instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType, WrapperDescriptorType
from typing import Any

_MRO = type.__dict__["__mro__"]
_MODULE = type.__dict__["__module__"]
_QUALNAME = type.__dict__["__qualname__"]
_NAMESPACE = type.__dict__["__dict__"]
_FLAGS = type.__dict__["__flags__"]
_IMMUTABLE, _HEAP = 1 << 8, 1 << 9

# Types of Python's own library that keep memory of a C library's behind them.
_WITH_NATIVE_MEMORY = frozenset(
    ("_ssl", "ssl", "sqlite3", "_sqlite3", "zlib", "_bz2", "_lzma", "_hashlib", "pyexpat", "mmap", "_ctypes")
)


def mro(kind: type) -> tuple[type, ...]:
    """The method resolution order, whatever the metaclass defines."""
    return tuple(_MRO.__get__(kind))


def is_a(item: object, base: type) -> bool:
    """``isinstance`` by the real type, blind to ``__class__`` properties and to ABC hooks."""
    return any(kind is base for kind in mro(type(item)))


def class_namespace(kind: type) -> dict[str, Any]:
    """A class's own ``__dict__`` (a read-only view)."""
    found: dict[str, Any] = _NAMESPACE.__get__(kind)
    return found


def module_name(kind: type) -> str:
    """The module a class says it comes from."""
    found = _MODULE.__get__(kind)
    return found if type(found) is str else ""


def qualified_name(kind: type) -> str:
    """The name of a class inside its module."""
    name: str = _QUALNAME.__get__(kind)
    return name


def is_written_in_c(kind: type) -> bool:
    """Whether a type comes from C code; a class of Python's can be changed and lives on the heap."""
    flags: int = _FLAGS.__get__(kind)
    return flags & (_IMMUTABLE | _HEAP) != _HEAP


def hides_memory(kind: type) -> bool:
    """Whether instances may keep memory that ``__sizeof__`` does not tell: those of types from C extensions."""
    for base in mro(kind):
        module = module_name(base)
        if module in _WITH_NATIVE_MEMORY:
            return True
        if module.partition(".")[0] in sys.stdlib_module_names or module == "__main__":
            continue
        if is_written_in_c(base) or not (module_file(module) or ".py").endswith(".py"):
            return True
    return False


def class_name(kind: type) -> str:
    """``module.qualname``; built-ins without the module."""
    qualname = qualified_name(kind)
    module = module_name(kind)
    return qualname if module in ("builtins", "") else f"{module}.{qualname}"


def instance_dict(item: object) -> dict[str, Any] | None:
    """The real ``__dict__`` of an instance, not a property of that name."""
    for kind in mro(type(item)):
        found = class_namespace(kind).get("__dict__")
        if type(found) in (GetSetDescriptorType, MemberDescriptorType):
            namespace = found.__get__(item)  # type: ignore[union-attr]
            return namespace if type(namespace) is dict else None
    return None


def members(item: object) -> Iterator[tuple[str, object]]:
    """What the slots of an instance hold, and the members of types written in C."""
    for kind in mro(type(item)):
        for name, descriptor in list(class_namespace(kind).items()):
            if type(descriptor) is MemberDescriptorType:
                try:
                    yield name, descriptor.__get__(item)
                except (AttributeError, TypeError):  # an empty slot
                    continue


def shallow_bytes(item: object) -> int:
    """The size of one object without what it refers to; ``__sizeof__`` in Python is not called."""
    for kind in mro(type(item)):
        method = class_namespace(kind).get("__sizeof__")
        if type(method) in (MethodDescriptorType, WrapperDescriptorType):
            return int(method(item))  # type: ignore[misc]
    return object.__sizeof__(item)


def module_file(name: str) -> str | None:
    """The file of an imported module."""
    module = sys.modules.get(name)
    path = (instance_dict(module) or {}).get("__file__") if module is not None else None
    return path if type(path) is str else None
