"""Markdown, and what docstrings say."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

WIDE = "---\nhide: [toc]\n---\n\n"
"""Head of a page whose tables need the room of the table of contents."""


def docstring(documented: object) -> str:
    """Its docstring, with single backquotes, as Markdown has them."""
    return inspect.cleandoc(inspect.getdoc(documented) or "").replace("``", "`")


def arguments_of(documented: type | Callable[..., Any]) -> dict[str, str]:
    """The arguments that a docstring describes, each with its text in one line."""
    section = inspect.cleandoc(documented.__doc__ or "").partition("Args:\n")[2].partition("\n\n")[0]
    return dict(_entries(section))


def _entries(section: str) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"\n(?=    \S)", section):
        names, _, text = entry.strip().partition(": ")
        for name in names.split(", "):
            yield name, re.sub(r"\s+", " ", text).replace("``", "`").rstrip(".")


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [heads, ("---",) * len(heads), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def cell(text: str) -> str:
    """Text in a table, where a bar would end the cell."""
    return text.replace("|", "\\|")


def public(cls: type) -> list[str]:
    return [name for name in vars(cls) if not name.startswith("_")]


def members(path: str, names: Iterable[str]) -> list[str]:
    """What mkdocstrings writes of each."""
    return [f"::: {path}.{name}\n    options: {{heading_level: 3}}\n" for name in names]


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
