"""Lines of code around the line of a finding, read where the report is made."""

from __future__ import annotations

import tokenize
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

_AROUND = 3
_LARGEST_FILE_BYTES = 2_000_000


def excerpts_below(root: Path) -> Callable[[str, int], list[tuple[int, str]]]:
    """A function that reads the lines around a line.

    Args:
        root: the directory that relative paths start from.

    Returns:
        a function of path and line; it gives numbered lines, or none for what is not a readable Python file:
        a record may come from elsewhere and name any file.
    """

    @lru_cache(maxsize=64)
    def lines_of(path: str) -> list[str]:
        file = root / path
        try:
            if file.suffix != ".py" or file.stat().st_size > _LARGEST_FILE_BYTES:
                return []
            with tokenize.open(file) as source:
                return source.read().splitlines()
        except (OSError, SyntaxError, ValueError):  # not there, of no known encoding, or a name with a null
            return []

    def read(path: str, line: int) -> list[tuple[int, str]]:
        first = max(1, line - _AROUND)
        return list(enumerate(lines_of(path)[first - 1 : line + _AROUND], first))

    return read
