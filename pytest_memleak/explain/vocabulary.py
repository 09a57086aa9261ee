"""Which strings may be printed in a path: those that are written in code.

A dict key, an attribute's, a class's or a function's name met at run time can be a user's id or a
session token. It is printed only when it looks like an identifier and occurs, as a name or as a
constant, in the source of an app module or of the class that owns it; anything else becomes
``[...]``. Constants of test modules are data, and classes and functions are never named by a constant.
"""

from __future__ import annotations

import ast
import builtins
import os
import re
from types import FunctionType

from pytest_memleak.explain.census import module_kind, namespaces
from pytest_memleak.explain.static import class_name, is_written_in_c, module_file, module_name, mro, qualified_name

_LONGEST = 40
_BUILTIN = frozenset(dir(builtins))


class Vocabulary:
    """The words of the code behind a path. Reads each source file at most once."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._app: tuple[frozenset[str], frozenset[str]] | None = None

    def allows(self, word: object, owner: type | None = None) -> bool:
        """Whether `word`, a key or an attribute of an instance of `owner`, may be printed."""
        if type(word) is not str or len(word) > _LONGEST or not word.isidentifier():
            return False
        if any(word in words for words in self._of_app()):
            return True
        return owner is not None and any(word in words for base in mro(owner) for words in self._of_class(base))

    def allows_in_module(self, word: str, path: object) -> bool:
        """Whether `word`, a global of the module at `path`, may be printed. C modules have no source."""
        if type(path) is not str or not path.endswith(".py"):
            return word.isidentifier()
        return word.isidentifier() and any(word in words for words in self._of_file(path))

    def class_name(self, kind: type) -> str:
        """The name of a class; of one whose name was made at run time, the base class that has a written name."""
        known = next(base for base in mro(kind) if self._is_written(base))  # `object` is, in any case
        return class_name(known) if known is kind else f"a class made from {class_name(known)}"

    def function_name(self, function: FunctionType) -> str:
        """``module.qualname`` of a function, as it was written: a decorator may have given it the name of another."""
        qualname, paths = function.__qualname__, (function.__code__.co_filename, module_file(function.__module__))
        if not self._names_are_written(qualname, *(path for path in paths if path)):
            qualname = function.__code__.co_qualname
        return f"{function.__module__}.{qualname}"

    def _is_written(self, kind: type) -> bool:
        path = module_file(module_name(kind))
        if is_written_in_c(kind) or (path is not None and not path.endswith(".py")):
            return True
        return self._names_are_written(qualified_name(kind), *([path] if path else []))

    def _names_are_written(self, qualname: str, *paths: str) -> bool:
        """Whether every part of a qualified name is a name, not only a constant, in these files or in the app's."""
        parts = set(re.findall(r"\w+", re.sub(r"<\w+>", "", qualname))) - _BUILTIN
        for path in paths:
            parts -= self._of_file(path)[0]
        return not parts or parts <= self._of_app()[0]

    def _of_app(self) -> tuple[frozenset[str], frozenset[str]]:
        if self._app is None:
            paths = [space.get("__file__") for _, space in namespaces() if module_kind(space) == "app"]
            files = [self._of_file(path) for path in paths if type(path) is str]
            nothing: frozenset[str] = frozenset()
            self._app = nothing.union(*(names for names, _ in files)), nothing.union(*(texts for _, texts in files))
        return self._app

    def _of_class(self, kind: type) -> tuple[frozenset[str], ...]:
        path = module_file(module_name(kind))
        return self._of_file(path) if path else ()

    def _of_file(self, path: str) -> tuple[frozenset[str], frozenset[str]]:
        """The names and the identifier-like constants of a source file."""
        if path not in self._files:
            names, texts = _words_in(path)
            self._files[path] = frozenset(names), frozenset(() if _is_test(path) else texts)
        return self._files[path]


def _is_test(path: str) -> bool:
    """Whether a file holds tests, whose constants stand for the data of users."""
    name = os.path.basename(path)
    return name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"


def _words_in(path: str) -> tuple[set[str], set[str]]:
    """Every name and every identifier-like string constant in a source file."""
    names: set[str] = set()
    texts: set[str] = set()
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return names, texts
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if text.isidentifier():
                texts.add(text)
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)) | ast.alias(name=name):
                names.add(name)
    return names, texts


def defines(path: str, name: str) -> bool:
    """Whether the module at `path` makes `name` itself rather than importing it."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return True
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return all((alias.asname or alias.name) != name for node in imports for alias in node.names)
