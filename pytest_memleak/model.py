"""The frozen values that pass between the stages of a memory check.

Units are in the names: ``_bytes``, ``_s``, ``_mb_per_24h`` (MB = 10^6 bytes).
"""

from __future__ import annotations

from collections.abc import Sequence
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
        owner: whose code it is about: ``app``, ``Python`` or a dependency like ``httpx 0.28.1``; None where unknown.
        fails: whether this finding alone makes the verdict ``leak``.
    """

    kind: str
    summary: str
    details: tuple[str, ...] = ()
    path: str | None = None
    line: int | None = None
    owner: str | None = None
    fails: bool = False


# --- Clients and other resources: what sense read, for judge.resources ---


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGroup:
    """The clients of one class, made at one line, that were open at one reading.

    Args:
        name: ``library.Class``, e.g. ``httpx.AsyncClient``.
        type_name: the class as it was made, with its module; a subclass differs from `name`.
        site: the line that made them; None when no frame outside the library was on the stack.
        owner: the tracked library or class that made them for itself, e.g. ``sqlalchemy`` or
            ``asyncpg.Pool``.
        before_run: whether they were there when the run began.
        births: the iteration each was made in, ascending; the lifespan's startup counts as the
            first one, 0, and what was there before the run as -1.
    """

    name: str
    type_name: str
    site: Site | None
    owner: str | None
    before_run: bool
    births: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedGroup:
    """The clients of one class, made at one line, that were collected while still open."""

    name: str
    type_name: str
    site: Site | None
    owner: str | None
    closes_on_collect: bool
    count: int
    first_iteration: int
    last_iteration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceGroup:
    """Resources of one kind that look the same, e.g. sockets to one peer, tasks at one line."""

    name: str
    count: int
    site: Site | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSeries:
    """One kind of resource, counted after every iteration.

    Args:
        kind: as in `ResourceCount`.
        counts: one entry per iteration that ran.
        count_settled: after the last iteration, when what was closing had closed.
        groups_start, groups_end: what they were when the run began and after settling.
        limit: the most that the process may have; None where there is no such limit.
    """

    kind: str
    counts: Sequence[int]
    count_settled: int
    groups_start: tuple[ResourceGroup, ...] = ()
    groups_end: tuple[ResourceGroup, ...] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningGroup:
    """Equal ResourceWarnings: `message` has its addresses and numbers replaced."""

    message: str
    site: Site | None
    count: int
    first_iteration: int
    last_iteration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReadings:
    """Everything one run saw of clients and other resources.

    `open_before_shutdown` and `open_after_shutdown` are None when that point was never reached.
    """

    iterations: int
    series: tuple[ResourceSeries, ...] = ()
    open_before_shutdown: tuple[ClientGroup, ...] | None = None
    open_after_shutdown: tuple[ClientGroup, ...] | None = None
    dropped: tuple[DroppedGroup, ...] = ()
    warnings: tuple[WarningGroup, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthFacts:
    """What the run measured, handed to the explanation. None: not measured on this platform.

    Args:
        iterations: how many iterations the totals below span.
        rss_bytes_per_iteration: growth rate of RSS.
        live_bytes_per_iteration: growth rate of live bytes (allocator plus Python objects).
        rss_growth_bytes: how much RSS grew in all.
        vms_growth_bytes: how much the address space grew in all.
        trimmed_bytes: how much RSS one trim of the heap gave back after the run.
        threads_per_iteration: growth in threads.
        clients_per_iteration: growth in unclosed clients.
        tasks_per_iteration: growth in unfinished asyncio tasks.
        requests_per_iteration: requests one iteration sends; 0 without an app.
        linear_to_the_end: whether the last third still grew like the one before it.
        on_live_bytes: whether live bytes are above the budget; RSS creeps beside them in a short run.
        traced: whether tracemalloc ran through the whole run.
    """

    iterations: int
    rss_bytes_per_iteration: float
    rss_growth_bytes: float
    live_bytes_per_iteration: float | None = None
    vms_growth_bytes: float | None = None
    trimmed_bytes: float | None = None
    threads_per_iteration: float = 0.0
    clients_per_iteration: float = 0.0
    tasks_per_iteration: float = 0.0
    requests_per_iteration: float = 0.0
    linear_to_the_end: bool = False
    on_live_bytes: bool = False
    traced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteGrowth:
    """What one request to a route leaves behind."""

    route: str
    bytes_per_request: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where a leak is: its kind, its line, its holder, and the evidence, the most telling first.

    Args:
        cause: one sentence saying what kind of growth it is.
        top_line: the app's line that leads to the most growth, e.g. ``app/cache.py:12``.
        top_holder: the growing collection as a path of code, e.g. ``app.cache.store``.
        findings: allocation, holder, object_growth, … findings.
        notes: hints, and what could not be found out and why.
        routes: with mixed traffic, the growth of each route, the worst first.
    """

    cause: str | None = None
    top_line: str | None = None
    top_holder: str | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    routes: tuple[RouteGrowth, ...] = ()
