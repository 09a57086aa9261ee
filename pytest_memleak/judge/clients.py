"""Which clients leak: their number grows, they stay open, or they are dropped while open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pytest_memleak.judge.counts import rise_per_iteration
from pytest_memleak.judge.places import Places, finding_at
from pytest_memleak.model import ClientGroup, DroppedGroup, Finding, ResourceCount, ResourceReadings, Site

REMEDY = "create one client in the lifespan and close it there, or use `async with`"

_Group = ClientGroup | DroppedGroup
_Key = tuple[str, str, Site | None, str | None]


class ClientJudge:
    """Judges the clients of one run.

    Args:
        first: the first judged iteration.
    """

    def __init__(self, readings: ResourceReadings, places: Places, first: int) -> None:
        self._readings = readings
        self._places = places
        self._first = first
        alive = next((series.counts for series in readings.series if series.kind == "client"), ())
        self._number_rises = rise_per_iteration(alive[first:]) is not None
        self._before = _made_since(readings.open_before_shutdown)
        self._after = _made_since(readings.open_after_shutdown)
        self._growing = {key: rate for key, group in self._before.items() if (rate := self._rise(group))}

    def counts(self) -> Iterator[ResourceCount]:
        """One entry for each class and line that made clients which were open at the end."""
        stopped = self._readings.open_after_shutdown is not None
        for key, group in {**self._after, **self._before}.items():
            last = self._after.get(key) if stopped else group
            yield ResourceCount(
                kind="client",
                name=group.name,
                count_start=sum(birth <= self._first for birth in group.births),
                count_end=0 if last is None else len(last.births),
                per_iteration=self._growing.get(key, 0.0),
                sites=() if group.site is None else (self._places.show(group.site),),
            )

    def findings(self) -> Iterator[Finding]:
        """Clients that grow, that were left open, that were dropped, or that are not the run's."""
        failing = _owners([*(self._before[key] for key in self._growing), *self._after.values()])
        for key, rate in self._growing.items():
            if self._tell(self._before[key], failing):
                yield self._grows(self._before[key], rate, left_open=key in self._after)
        kept = _owners([group for group in self._readings.open_after_shutdown or () if group.before_run])
        for key, group in self._after.items():
            if key not in self._growing and self._tell(group, failing | kept):
                yield self._unclosed(group, "open after the shutdown; none made since the startup may be")
        yield from self._dropped()
        yield from self._earlier()
        yield from self._without_shutdown()

    def _rise(self, group: ClientGroup) -> float | None:
        """The births of the survivors per iteration, where they reach from early to late and the
        number of all clients rises too: a cache that closes its oldest client only renews them."""
        if not self._number_rises:
            return None
        births = Counter(max(birth, self._first) for birth in group.births)
        alive, total = [], 0
        for iteration in range(self._first, self._readings.iterations):
            total += births[iteration]
            alive.append(total)
        return rise_per_iteration(alive)

    def _tell(self, group: _Group, owners: set[str]) -> bool:
        """What another client made for itself is told with that one: a pool's connections with the pool."""
        return group.owner not in owners and not self._places.allow(group)

    def _grows(self, group: ClientGroup, rate: float, *, left_open: bool) -> Finding:
        return self._unclosed(
            group,
            f"open after {self._readings.iterations} iterations and rising by {rate:.3g} per iteration; "
            "the number must level off",
            "still open after the shutdown" if left_open else "closed by the shutdown",
        )

    def _unclosed(self, group: ClientGroup, fact: str, *more: str) -> Finding:
        return finding_at(
            group.site,
            kind="unclosed_client",
            summary=f"{_number(len(group.births), group)} {fact}",
            details=(*self._made(group), *more, REMEDY),
            fails=True,
        )

    def _dropped(self) -> Iterator[Finding]:
        groups = self._readings.dropped
        failing = _owners([group for group in groups if not group.closes_on_collect])
        for group in groups:
            if not self._tell(group, failing):
                continue
            rate = group.count / max(self._readings.iterations, 1)
            closes = f"{_library(group)} closes it when it is collected"
            limit = closes if group.closes_on_collect else "none may be"
            yield finding_at(
                group.site,
                kind="dropped_client",
                summary=(f"{_number(group.count, group)} dropped without close, {rate:.3g} per iteration; {limit}"),
                details=(*self._made(group), *(() if group.closes_on_collect else (REMEDY,))),
                fails=not group.closes_on_collect,
            )

    def _earlier(self) -> Iterator[Finding]:
        """Not the run's to close: another test's, or the module's."""
        for group in self._readings.open_after_shutdown or self._readings.open_before_shutdown or ():
            if group.before_run and not self._places.allow(group):
                yield finding_at(
                    None,
                    kind="unclosed_client",
                    summary=f"{_number(len(group.births), group)} open, made before the run; not judged",
                    details=(),
                )

    def _without_shutdown(self) -> Iterator[Finding]:
        """What an app without a lifespan opened once: nothing ever tells it to close that."""
        if self._readings.open_after_shutdown is not None:
            return
        owners = _owners(list(self._before.values()))
        for key, group in self._before.items():
            if key not in self._growing and self._tell(group, owners):
                yield finding_at(
                    group.site,
                    kind="unclosed_client",
                    summary=f"{_number(len(group.births), group)} open at the end; the app had no shutdown, not judged",
                    details=tuple(self._made(group)),
                )

    def _made(self, group: _Group) -> Iterator[str]:
        if group.site is not None:
            yield f"made at {self._places.show(group.site)} in {group.site.function}"
        else:
            yield "made where no line of the app was running, or while its library was being imported"
        if group.owner is not None:
            yield f"made by {group.owner} for itself"


def _made_since(groups: tuple[ClientGroup, ...] | None) -> dict[_Key, ClientGroup]:
    """The groups made since the run began, by what tells them apart."""
    return {
        (group.name, group.type_name, group.site, group.owner): group for group in groups or () if not group.before_run
    }


def _owners(groups: Sequence[_Group]) -> set[str]:
    """What `owner` is called in a client that one of these made."""
    return {name for group in groups for name in (group.name, _library(group))}


def _library(group: _Group) -> str:
    return group.name.rpartition(".")[0]


def _number(count: int, group: _Group) -> str:
    """e.g. ``3 httpx2.AsyncClient (openai._base_client.AsyncHttpxClientWrapper)``."""
    same = group.type_name.rpartition(".")[2] == group.name.rpartition(".")[2]
    return f"{count} {group.name}" if same else f"{count} {group.name} ({group.type_name})"
