"""Which strings may be printed in a path: those that are written in code.

A dict key or an attribute name met at run time can be a user's id or a session token. It is printed
only when it looks like an identifier and occurs, as a name or as a constant, in the source of an app
module or of the class that owns it; anything else becomes ``[...]``.
"""

from __future__ import annotations

import ast

from pytest_memleak.explain.census import module_kind, namespaces
from pytest_memleak.explain.static import module_file, module_name, mro

_LONGEST = 40


class Vocabulary:
    """The words of the code behind a path. Reads each source file at most once."""

    def __init__(self) -> None:
        self._files: dict[str, frozenset[str]] = {}
        self._app: frozenset[str] | None = None

    def allows(self, word: object, owner: type | None = None) -> bool:
        """Whether `word`, a key or an attribute of an instance of `owner`, may be printed."""
        if type(word) is not str or len(word) > _LONGEST or not word.isidentifier():
            return False
        if word in self._app_words():
            return True
        return owner is not None and any(word in self._class_words(base) for base in mro(owner))

    def allows_in_module(self, word: str, path: object) -> bool:
        """Whether `word`, a global of the module at `path`, may be printed. C modules have no source."""
        if type(path) is not str or not path.endswith(".py"):
            return word.isidentifier()
        return word.isidentifier() and word in self._words(path)

    def _app_words(self) -> frozenset[str]:
        if self._app is None:
            paths = [space.get("__file__") for _, space in namespaces() if module_kind(space) == "app"]
            words: frozenset[str] = frozenset()
            self._app = words.union(*(self._words(path) for path in paths if type(path) is str))
        return self._app

    def _class_words(self, kind: type) -> frozenset[str]:
        path = module_file(module_name(kind))
        return self._words(path) if path else frozenset()

    def _words(self, path: str) -> frozenset[str]:
        if path not in self._files:
            self._files[path] = frozenset(_words_in(path))
        return self._files[path]


def _words_in(path: str) -> set[str]:
    """Every name and every identifier-like string constant in a source file."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return set()
    words: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if text.isidentifier():
                words.add(text)
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                words.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                words.add(name)
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)) | ast.alias(name=name):
                words.add(name)
    return words


def defines(path: str, name: str) -> bool:
    """Whether the module at `path` makes `name` itself rather than importing it."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return True
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return all((alias.asname or alias.name) != name for node in imports for alias in node.names)
