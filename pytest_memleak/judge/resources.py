"""Which clients and other resources leak, from what was counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from pytest_memleak.judge.counts import MIN_RISE, rise_per_iteration
from pytest_memleak.model import (
    ClientGroup,
    DroppedGroup,
    Finding,
    ResourceCount,
    ResourceGroup,
    ResourceReadings,
    ResourceSeries,
    Site,
    WarningGroup,
)

_MAX_SITES = 5

_PLURAL = {
    "fd": "file descriptors",
    "thread": "threads",
    "task": "asyncio tasks",
    "child_process": "child processes",
    "async_generator": "unfinished async generators",
}
_REMEDY = {
    "fd": "close each file, socket and pipe, or open it with `with`",
    "thread": "end or join each thread, or share one executor",
    "task": "await or cancel each task, or start it in an `asyncio.TaskGroup`",
    "child_process": "wait for each child process, or run it with `with`",
    "async_generator": "close a generator that is not read to its end: `async with aclosing(...)`",
}
_CLIENT_REMEDY = "create one client in the lifespan and close it there, or use `async with`"


def judge_resources(
    readings: ResourceReadings,
    *,
    allow_unclosed: Sequence[str] = (),
    warm_up: int = 0,
    root: str | os.PathLike[str] = "",
) -> tuple[tuple[ResourceCount, ...], tuple[Finding, ...]]:
    """Judge the clients and other resources of one run.

    Args:
        readings: what `sense.watching.ResourceWatch.close` returned.
        allow_unclosed: what may stay open: ``library.Class`` or ``path:line``, with the wildcards
            of `fnmatch`; paths relative to `root`, with forward slashes.
        warm_up: iterations at the start that are not judged; at least a tenth never is.
        root: the directory that paths are shown relative to.

    Returns:
        The counts, one entry per kind or per client class and line, and the findings, those that
        fail first. A client fails when its number grows, when it was made since the startup and
        is open after the shutdown, or when it was dropped without close (a note for a library that
        closes what is collected); what was open before the run is only listed. Other resources
        fail when their number grows. ResourceWarnings are notes: what they name is closed by now.
    """
    judge = _Judge(readings, allow_unclosed, warm_up, os.fspath(root))
    findings = [*judge.clients(), *judge.dropped(), *judge.growing_series()]
    findings = [*sorted(findings, key=lambda finding: not finding.fails), *judge.warned()]
    return tuple(judge.counts()), tuple(findings)


class _Judge:
    def __init__(
        self, readings: ResourceReadings, allow_unclosed: Sequence[str], warm_up: int, root: str
    ) -> None:
        self._readings = readings
        self._allowed = allow_unclosed
        self._root = root
        self._first = max(warm_up, readings.iterations // 10)
        self._before = readings.open_before_shutdown or ()
        self._after = readings.open_after_shutdown or ()
        alive = next((series.counts for series in readings.series if series.kind == "client"), ())
        self._clients_rise = rise_per_iteration(alive[self._first :]) is not None

    # --- counts ---

    def counts(self) -> Iterator[ResourceCount]:
        """Every kind of resource, and each group of clients made since the run began."""
        for series in self._readings.series:
            if series.kind != "client" and series.counts:
                rate = self._series_rise(series)
                yield ResourceCount(
                    kind=series.kind,
                    name=_PLURAL[series.kind],
                    count_start=series.counts[min(self._first, len(series.counts) - 1)],
                    count_end=series.count_settled,
                    per_iteration=rate or 0.0,
                    sites=() if rate is None else self._sites(_added(series)),
                )
        reached = self._readings.open_after_shutdown is not None
        for group in self._before:
            if group.before_run:
                continue
            left = next((len(after.births) for after in self._after if _key(after) == _key(group)), 0)
            yield self._client_count(group, left if reached else len(group.births))
        known = {_key(group) for group in self._before}
        for group in self._after:
            if not group.before_run and _key(group) not in known:
                yield self._client_count(group, len(group.births))

    def _client_count(self, group: ClientGroup, count_end: int) -> ResourceCount:
        return ResourceCount(
            kind="client",
            name=group.name,
            count_start=sum(birth <= self._first for birth in group.births),
            count_end=count_end,
            per_iteration=self._client_rise(group) or 0.0,
            sites=() if group.site is None else (self._place(group.site),),
        )

    # --- clients ---

    def clients(self) -> Iterator[Finding]:
        """Clients whose number grows, that were left open, or that were open before the run."""
        growing = {_key(group): group for group in self._before if self._client_rise(group)}
        left = {_key(group): group for group in self._after if not group.before_run}
        failing = {_library(group) for group in (*growing.values(), *left.values())}
        for key, group in growing.items():
            if not self._is_allowed(group) and group.owner not in failing:
                yield self._growing_client(group, left_open=key in left)
        for key, group in left.items():
            if key not in growing and not self._is_allowed(group) and group.owner not in failing:
                yield self._client(
                    group,
                    f"{_number(len(group.births), group)} open after the shutdown; none made since the "
                    "startup may be",
                    fails=True,
                )
        for group in self._after or self._before:
            if group.before_run and not self._is_allowed(group):
                yield self._client(
                    group,
                    f"{_number(len(group.births), group)} open since before the run; not judged",
                    fails=False,
                )

    def _growing_client(self, group: ClientGroup, *, left_open: bool) -> Finding:
        rate = self._client_rise(group) or 0.0
        return self._client(
            group,
            f"{_number(len(group.births), group)} open after {self._readings.iterations} iterations "
            f"and rising by {rate:.3g} per iteration; the number must level off",
            "still open after the shutdown" if left_open else "closed by the shutdown",
            fails=True,
        )

    def _client(self, group: ClientGroup, summary: str, *more: str, fails: bool) -> Finding:
        return _finding(
            kind="unclosed_client",
            summary=summary,
            details=(*self._made(group), *more, *((_CLIENT_REMEDY,) if fails else ())),
            site=group.site,
            fails=fails,
        )

    def _client_rise(self, group: ClientGroup) -> float | None:
        """A group grows when the births of its survivors reach from early to late, and the number
        of all clients grows as well: a cache that closes its oldest client only renews them."""
        if group.before_run or not self._clients_rise:
            return None
        births = Counter(max(birth, self._first) for birth in group.births)
        alive, total = [], 0
        for iteration in range(self._first, self._readings.iterations):
            total += births[iteration]
            alive.append(total)
        return rise_per_iteration(alive)

    def dropped(self) -> Iterator[Finding]:
        """Clients that were collected while open."""
        groups = [group for group in self._readings.dropped if not self._is_allowed(group)]
        failing = {_library(group) for group in groups if not group.closes_on_collect}
        for group in groups:
            if group.owner in failing:
                continue
            fails = not group.closes_on_collect
            rate = group.count / max(self._readings.iterations, 1)
            limit = "none may be" if fails else f"{_library(group)} closes it when it is collected"
            yield _finding(
                kind="dropped_client",
                summary=(
                    f"{_number(group.count, group)} dropped without close, {rate:.3g} per iteration; {limit}"
                ),
                details=(*self._made(group), *((_CLIENT_REMEDY,) if fails else ())),
                site=group.site,
                fails=fails,
            )

    def _made(self, group: ClientGroup | DroppedGroup) -> Iterator[str]:
        if group.site is not None:
            yield f"made at {self._place(group.site)} in {group.site.function}"
        elif not (isinstance(group, ClientGroup) and group.before_run):
            yield "made where no line of the app was running, or while its library was being imported"
        if group.owner is not None:
            yield f"made by {group.owner} for itself"

    # --- everything else ---

    def growing_series(self) -> Iterator[Finding]:
        """Descriptors, threads, tasks, child processes and async generators that grow."""
        for series in self._readings.series:
            rate = self._series_rise(series)
            if rate is None:
                continue
            added = _added(series)
            judged = [group for group in added if not self._is_allowed_at(group.site)]
            if added and not judged:
                continue
            site = next((group.site for group in judged if group.site is not None), None)
            yield _finding(
                kind="unclosed_resource",
                summary=(
                    f"{series.count_settled} {_PLURAL[series.kind]} after {self._readings.iterations} "
                    f"iterations, {series.counts[self._first]} at the start, rising by {rate:.3g} per "
                    "iteration; the number must level off"
                ),
                details=(*(self._added_line(group) for group in judged[:_MAX_SITES]), _REMEDY[series.kind]),
                site=site,
                fails=True,
            )

    def _series_rise(self, series: ResourceSeries) -> float | None:
        """A rise that settling took back was work in flight."""
        if series.kind == "client":
            return None
        counts = series.counts[self._first :]
        rate = rise_per_iteration(counts)
        if rate is None or series.count_settled - min(counts) < MIN_RISE:
            return None
        return rate

    def _added_line(self, group: ResourceGroup) -> str:
        place = f" at {self._place(group.site)}" if group.site else ""
        return f"+{group.count} {group.name}{place}"

    def warned(self) -> Iterator[Finding]:
        """Resources that Python had to close by itself, said by a ResourceWarning."""
        dropped = {group.type_name for group in self._readings.dropped}
        for group in self._readings.warnings:
            if self._is_allowed_at(group.site) or any(name in group.message for name in dropped):
                continue
            yield self._warning(group)

    def _warning(self, group: WarningGroup) -> Finding:
        times = "once" if group.count == 1 else f"{group.count} times"
        return _finding(
            kind="unclosed_resource",
            summary=f"ResourceWarning, {times}: {group.message}",
            details=("it was closed when it was collected; close it, or open it with `with`",),
            site=group.site,
        )

    # --- places ---

    def _sites(self, groups: Iterable[ResourceGroup]) -> tuple[str, ...]:
        places = [self._place(group.site) if group.site else group.name for group in groups]
        return tuple(dict.fromkeys(places))[:_MAX_SITES]

    def _place(self, site: Site) -> str:
        path = site.path
        if self._root and path.startswith(os.path.join(self._root, "")):
            path = os.path.relpath(path, self._root)
        return f"{path.replace(os.sep, '/')}:{site.line}"

    def _is_allowed(self, group: ClientGroup | DroppedGroup) -> bool:
        names = (group.name, group.type_name)
        by_name = any(fnmatchcase(name, pattern) for name in names for pattern in self._allowed)
        return by_name or self._is_allowed_at(group.site)

    def _is_allowed_at(self, site: Site | None) -> bool:
        if site is None:
            return False
        places = (self._place(site), str(site).replace(os.sep, "/"))
        return any(fnmatchcase(place, pattern) for place in places for pattern in self._allowed)


def _finding(
    *, kind: str, summary: str, details: tuple[str, ...], site: Site | None, fails: bool = False
) -> Finding:
    path, line = (None, None) if site is None else (site.path, site.line)
    return Finding(kind=kind, summary=summary, details=details, path=path, line=line, fails=fails)


def _added(series: ResourceSeries) -> list[ResourceGroup]:
    """What there is more of at the end than at the start, the most first.

    A task that only moved on to another line is no addition: its name must have become more too.
    """
    names_before = Counter[str]()
    before = Counter[tuple[str, Site | None]]()
    for group in series.groups_start:
        names_before[group.name] += group.count
        before[group.name, group.site] += group.count
    names_end = Counter[str]()
    for group in series.groups_end:
        names_end[group.name] += group.count
    added = [
        ResourceGroup(name=group.name, site=group.site, count=more)
        for group in series.groups_end
        if (more := group.count - before[group.name, group.site]) > 0
        and names_end[group.name] > names_before[group.name]
    ]
    return sorted(added, key=lambda group: -group.count)


def _key(group: ClientGroup) -> tuple[str, str, Site | None, bool]:
    return group.name, group.type_name, group.site, group.before_run


def _library(group: ClientGroup | DroppedGroup) -> str:
    return group.name.rpartition(".")[0]


def _number(count: int, group: ClientGroup | DroppedGroup) -> str:
    """e.g. ``3 httpx2.AsyncClient (openai._base_client.AsyncHttpxClientWrapper)``."""
    kind = "" if group.type_name.split(".")[-1] == group.name.split(".")[-1] else f" ({group.type_name})"
    return f"{count} {group.name}{kind}"
