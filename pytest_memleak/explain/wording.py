"""How the explanation writes sizes, counts and places."""

from __future__ import annotations

import os
import sys

from pytest_memleak.origin import kind_of

_PYTHON = os.path.join(sys.base_prefix, "")


def size(count_bytes: float) -> str:
    """A size for people: ``312 B``, ``3.5 kB``, ``80.1 MB`` (powers of 1,000)."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count_bytes) >= scale:
            return f"{count_bytes / scale:,.1f} {unit}"
    return f"{count_bytes:,.0f} B"


def count(number: float) -> str:
    """A count without false precision: ``3``, ``0.25``, ``1,204``."""
    if abs(number) >= 100 or abs(number - round(number)) < 0.005:
        return f"{number:,.0f}"
    return f"{number:,.2g}"


def counted(number: float, noun: str) -> str:
    """A count and what it counts: ``1 allocation``, ``0.25 allocations``."""
    told = count(number)
    return f"{told} {noun if told == '1' else f'{noun}s'}"


def place(path: str, root: str) -> str:
    """`path` relative to `root` with forward slashes; a path outside of it stays absolute."""
    inside = os.path.join(os.path.abspath(root), "")
    full = os.path.abspath(path) if not path.startswith("<") else path
    return full.removeprefix(inside).replace(os.sep, "/")


def short(path: str, root: str) -> str:
    """As `place`, but installed code begins at ``site-packages``, and Python's own at ``lib``: for what one scans."""
    for marker in ("site-packages", "dist-packages"):
        _, found, inside = path.rpartition(f"{os.sep}{marker}{os.sep}")
        if found:
            return f"{marker}/{inside.replace(os.sep, '/')}"
    if kind_of(path) == "python":
        return path.removeprefix(_PYTHON).replace(os.sep, "/")
    return place(path, root)


def percent(part: float, whole: float) -> str:
    """``97 %`` of the whole; never more than 100 %, for the parts are estimates."""
    return f"{min(100.0, 100 * part / whole):.0f} %" if whole > 0 else "0 %"
