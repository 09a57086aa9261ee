"""Replace a special method of a class, and put back exactly what was there."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

_MISSING = object()
_CALL = "__memleak_call__"
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


def with_parameters_of(original: Method, replacement: Method) -> Method:
    """`replacement` behind a function that has the parameters of `original` in its code, too.

    SQLAlchemy reads from the code of a constructor what it may be given; `functools.wraps` does not reach that.
    """
    if not isinstance(original, FunctionType):
        return functools.wraps(original)(replacement)
    code = original.__code__
    count, only = code.co_argcount, code.co_kwonlyargcount
    names = list(code.co_varnames)
    plain, keyword_only, stars = names[:count], names[count : count + only], names[count + only :]
    rest = [f"*{stars.pop(0)}"] if code.co_flags & inspect.CO_VARARGS else ["*"] if keyword_only else []
    others = [f"**{stars.pop(0)}"] if code.co_flags & inspect.CO_VARKEYWORDS else []
    optional = count - len(original.__defaults__ or ())
    declared = [name if index < optional else f"{name}=None" for index, name in enumerate(plain)]
    if code.co_posonlyargcount:
        declared.insert(code.co_posonlyargcount, "/")
    declared += [*rest, *(f"{n}=None" if n in (original.__kwdefaults__ or {}) else n for n in keyword_only), *others]
    passed = [*plain, *(star for star in rest if star != "*"), *(f"{name}={name}" for name in keyword_only), *others]
    source = f"def made({', '.join(declared)}): return {_CALL}({', '.join(passed)})"
    namespace: dict[str, Any] = {_CALL: replacement}
    exec(compile(source, __file__, "exec"), namespace)
    made: Any = functools.wraps(original)(namespace["made"])
    made.__code__ = made.__code__.replace(co_name=code.co_name)
    made.__defaults__, made.__kwdefaults__ = original.__defaults__, original.__kwdefaults__
    return made  # type: ignore[no-any-return]
