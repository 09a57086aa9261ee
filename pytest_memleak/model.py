"""The frozen values that pass between the stages of a memory check.

Units are in the names: ``_bytes``, ``_s``, ``_mb_per_24h`` (MB = 10^6 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "leak", "inconclusive", "error", "not_measured"]
Severity = Literal["normal", "warning", "high", "critical"]
MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place in code: where something is allocated, created or waits."""

    path: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceCount:
    """How many of one kind of resource were open, and how that changed.

    Args:
        kind: ``fd``, ``thread``, ``task``, ``child_process``, ``client`` or ``async_generator``.
        name: what exactly, e.g. ``httpx.AsyncClient`` or ``socket``.
        count_start: open at the first judged iteration.
        count_end: open after settling at the end.
        per_iteration: the growth in objects per iteration; 0 when it does not grow.
        sites: where they are made or wait, the most frequent first.
    """

    kind: str
    name: str
    count_start: int
    count_end: int
    per_iteration: float
    sites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The growth rate of one sensor with its 99 % interval.

    `Verdict.as_dict` scales it to a day and to a request.
    """

    bytes_per_iteration: float
    low_bytes_per_iteration: float
    high_bytes_per_iteration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing a person should know: the fact, its number, its place.

    Args:
        kind: one of the kinds listed in the documentation of the JSON record.
        summary: one sentence with the number.
        details: further lines (a table, a stack, the remedy).
        path: the file, absolute; reports make it relative to the root directory.
        line: the line in that file.
        fails: whether this finding alone makes the verdict ``leak``.
    """

    kind: str
    summary: str
    details: tuple[str, ...] = ()
    path: str | None = None
    line: int | None = None
    fails: bool = False
