"""Replace a special method of a class, and put back exactly what was there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_MISSING = object()
Method = Callable[..., Any]


class ClassPatch:
    """One method of one class, replaced until `undo`.

    Args:
        cls: the class; `TypeError` is raised for one that cannot be changed (written in C).
        name: the method's name, e.g. ``__init__``.
        wrap: makes the replacement from the original. For a method that `cls` only inherits, the
            original looks it up anew at each call, in the order of the instance's own class.
    """

    def __init__(self, cls: type, name: str, wrap: Callable[[Method], Method]) -> None:
        self._cls = cls
        self._name = name
        self._own = cls.__dict__.get(name, _MISSING)
        original: Method = _inherited(cls, name) if self._own is _MISSING else getattr(cls, name)
        self._replacement = wrap(original)
        setattr(cls, name, self._replacement)

    def undo(self) -> None:
        """Put the original back, unless somebody has replaced the replacement since."""
        if self._cls.__dict__.get(self._name) is not self._replacement:
            return
        if self._own is _MISSING:
            delattr(self._cls, self._name)
        else:
            setattr(self._cls, self._name, self._own)


def _inherited(cls: type, name: str) -> Method:
    inherited = getattr(cls, name, None)

    def call(self: object, *args: Any, **kwargs: Any) -> Any:
        method = getattr(super(cls, self), name, None)
        if method is None:
            return None
        if name == "__init__" and getattr(method, "__objclass__", None) is object:
            return method()  # object takes no arguments once __init__ is overridden: __new__ had them
        return method(*args, **kwargs)

    return functools.wraps(inherited)(call) if inherited is not None else call
