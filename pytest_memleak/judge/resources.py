"""Which clients and other resources leak, from what was counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from pytest_memleak.judge.clients import ClientJudge
from pytest_memleak.judge.counts import MIN_RISE, rise_per_iteration
from pytest_memleak.judge.places import Places, finding_at
from pytest_memleak.model import (
    Finding,
    ResourceCount,
    ResourceGroup,
    ResourceReadings,
    ResourceSeries,
    Site,
)

_MAX_GROUPS = 5
_FILE = "file "

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
        closes what is collected); what was made before the run is only listed. Other resources
        fail when their number grows. ResourceWarnings are notes: what they name is closed by now.
    """
    places = Places(root=os.fspath(root), allow_unclosed=allow_unclosed)
    first = max(warm_up, readings.iterations // 10)
    others = [series for series in readings.series if series.kind != "client" and series.counts]
    clients = ClientJudge(readings, places, first)
    counts = (*(_count(series, places, first) for series in others), *clients.counts())
    findings = [*clients.findings(), *_growing(others, places, first), *_warned(readings, places)]
    return counts, tuple(sorted(findings, key=lambda finding: not finding.fails))


def _count(series: ResourceSeries, places: Places, first: int) -> ResourceCount:
    rate = _rise(series, first)
    shown = [places.show(group.site) if group.site else group.name for group in _added(series)]
    return ResourceCount(
        kind=series.kind,
        name=_PLURAL[series.kind],
        count_start=series.counts[min(first, len(series.counts) - 1)],
        count_end=series.count_settled,
        per_iteration=rate or 0.0,
        sites=() if rate is None else tuple(dict.fromkeys(shown))[:_MAX_GROUPS],
    )


def _growing(others: Sequence[ResourceSeries], places: Places, first: int) -> Iterator[Finding]:
    """Descriptors, threads, tasks, child processes and async generators whose number grows."""
    for series in others:
        rate = _rise(series, first)
        added = _added(series)
        judged = [group for group in added if not places.allow_site(group.site)]
        if rate is None or (added and not judged):
            continue
        lines = (
            f"+{group.count} {group.name}" + (f" at {places.show(group.site)}" if group.site else "")
            for group in _by_folder(judged)[:_MAX_GROUPS]
        )
        yield finding_at(
            next((group.site for group in judged if group.site is not None), None),
            kind="unclosed_resource",
            summary=(
                f"{series.count_settled:,} {_PLURAL[series.kind]} after {len(series.counts)} iterations, "
                f"{_at_start(series, first)}, rising by {rate:.3g} per iteration; the number must level off"
            ),
            details=(*lines, _REMEDY[series.kind]),
            fails=True,
        )


def _rise(series: ResourceSeries, first: int) -> float | None:
    """The rate of a count that keeps rising; a rise that settling took back was work in flight."""
    if (rate := _rise_to_the_limit(series)) is not None:
        return rate
    counts = series.counts[first:]
    rate = rise_per_iteration(counts)
    if rate is None or series.count_settled - min(counts) < MIN_RISE:
        return None
    return rate


def _at_start(series: ResourceSeries, first: int) -> str:
    """The count that the rise began at: after the warm-up, or before what used up the limit at once."""
    at = first if _rise_to_the_limit(series) is None else 0
    return f"{series.counts[at]} after iteration {at + 1}"


def _rise_to_the_limit(series: ResourceSeries) -> float | None:
    """The rate of a count that reached what the process may have: it stays there, which is no levelling off."""
    limit, counts = series.limit, series.counts
    reached = next((i for i, count in enumerate(counts) if limit and 0 < limit - MIN_RISE <= count), 0)
    if not limit or reached == 0 or series.count_settled < (counts[0] + limit) / 2:
        return None
    return (counts[reached] - counts[0]) / reached


def _added(series: ResourceSeries) -> list[ResourceGroup]:
    """What there is more of at the end than at the start, the most first.

    A task that only moved on to another line is no addition: its name must have become more too.
    """
    names = Counter[str]()
    before = Counter[tuple[str, Site | None]]()
    for group in series.groups_start:
        names[group.name] -= group.count
        before[group.name, group.site] += group.count
    for group in series.groups_end:
        names[group.name] += group.count
    added = [
        ResourceGroup(name=group.name, site=group.site, count=more)
        for group in series.groups_end
        if (more := group.count - before[group.name, group.site]) > 0 and names[group.name] > 0
    ]
    return sorted(added, key=lambda group: -group.count)


def _by_folder(groups: Sequence[ResourceGroup]) -> list[ResourceGroup]:
    """Files, many of one folder as one group: a hundred temporary names say less than their number."""
    folders = Counter(os.path.dirname(group.name) for group in groups if group.name.startswith(_FILE))
    together: dict[str, ResourceGroup] = {}
    for group in groups:
        folder = os.path.dirname(group.name)
        many = group.name.startswith(_FILE) and folders[folder] > 2
        name = f"files in {folder.removeprefix(_FILE)}, such as {os.path.basename(group.name)}" if many else group.name
        key = folder if many else f"{group.name} {group.site}"
        first = together.get(key)
        count = group.count + (first.count if first else 0)
        together[key] = ResourceGroup(name=first.name if first else name, site=group.site, count=count)
    return sorted(together.values(), key=lambda group: -group.count)


def _warned(readings: ResourceReadings, places: Places) -> Iterator[Finding]:
    """Resources that Python had to close by itself, except clients that are told anyway."""
    dropped = {group.type_name for group in readings.dropped}
    for group in readings.warnings:
        if places.allow_site(group.site) or any(name in group.message for name in dropped):
            continue
        times = "once" if group.count == 1 else f"{group.count} times"
        yield finding_at(
            group.site,
            kind="unclosed_resource",
            summary=f"ResourceWarning, {times}: {group.message}",
            details=("it was closed when it was collected; close it, or open it with `with`",),
        )
