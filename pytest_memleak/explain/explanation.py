"""The order of an explanation: holders and types, lines, native stacks, routes, the cause."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from pytest_memleak.explain import wording
from pytest_memleak.explain.allocations import Lines, as_live_bytes, growing_lines
from pytest_memleak.explain.cause import (
    LEAST,
    LITTLE,
    MOST,
    Cause,
    came_back,
    cause_of,
    is_little,
    python_share,
    reference,
)
from pytest_memleak.explain.filling import filling_note
from pytest_memleak.explain.holder import holder_finding
from pytest_memleak.explain.holders import find_holders
from pytest_memleak.explain.lines import Line, line_finding
from pytest_memleak.explain.native import Native, native_finding, native_leaks
from pytest_memleak.explain.objects import (
    cycles_finding,
    growing_types,
    linked_finding,
    linked_holder,
    types_finding,
    uncollectable_finding,
)
from pytest_memleak.explain.routes import RecordRoutes, rank_routes, routes_note
from pytest_memleak.explain.watch import Step, Watched, out_of_sight, watch
from pytest_memleak.model import Explanation, Finding, GrowthFacts, RouteGrowth, Site

HOLDER_ITERATIONS = 30
_TLS_CLIENT = "a client with default TLS settings holds about 0.8 MiB outside Python's memory (its SSLContext)"

_NO_HOLDER = (
    "no growing collection that could hold it and no chain of objects was found: a frame or native code may "
    "hold them (a C extension that forgets to drop a reference)"
)

_TRACE = "trace=True (--memcheck-trace) follows the lines through the whole run"

T = TypeVar("T")


class StepFailed(Exception):
    """An iteration failed; there is no point in going on. Its message says so, with nothing of the test's in it."""


async def explain(
    step: Step,
    *,
    growth: GrowthFacts,
    requests: Callable[[], int],
    root: str,
    routes: RecordRoutes | None = None,
    live: Callable[[], float] | None = None,
    in_time: Callable[[], bool] | None = None,
) -> Explanation:
    """Say where memory goes: its kind, its lines, its holders.

    Costs about as much as 200 plain iterations, and three censuses and a walk of all objects of the process: a fixed
    second or so, which outweighs iterations of a millisecond.

    Objects frozen with ``gc.freeze()`` are unfrozen first and stay so: the collector shows no frozen
    object. Everything else (tracemalloc, the collector's switch) is left as found.

    Args:
        step: runs one more iteration. Its exceptions end the explanation with a note.
        growth: what the run measured.
        requests: the running total of requests.
        root: the directory that places are relative to.
        routes: with mixed traffic, runs some iterations and gives a replay for each route, to be ranked.
        live: reads live bytes now; ranks routes by native memory too.
        in_time: whether what is in doubt may be looked at for longer than usual; by default it may.

    Returns:
        What could be found out; what could not is a note. Never raises an `Exception`.
    """
    return await _Inquiry(step, growth, requests, root, routes, live, in_time).run()


class _Inquiry:
    """One explanation under way: collects findings and notes, part by part."""

    def __init__(
        self,
        step: Step,
        growth: GrowthFacts,
        requests: Callable[[], int],
        root: str,
        routes: RecordRoutes | None,
        live: Callable[[], float] | None,
        in_time: Callable[[], bool] | None,
    ) -> None:
        self._iterate = step
        self._growth = growth
        self._requests = requests
        self._root = root
        self._routes = routes
        self._live = live
        self._in_time = in_time
        self._findings: list[Finding] = []
        self._notes: list[str] = []
        self._top_line: str | None = None
        self._top_holder: str | None = None

    async def run(self) -> Explanation:
        gc.unfreeze()
        cause: Cause | None = None
        ranked: tuple[RouteGrowth, ...] = ()
        try:
            watched = await self._part("the holder scan", self._holders)
            if watched and not came_back(self._growth, watched.live_bytes):
                return self._nothing_came_back(watched)
            lines = await self._part("the search for allocating lines", self._lines)
            cause = self._cause(lines)
            if cause.kind in ("native", "maps"):
                self._top_line = None  # the little that Python keeps is not what grows
            if cause.kind in ("native", "mixed", "maps", "unknown") or self._is_in_doubt(cause, lines):
                cause = await self._with_native(cause, lines or Lines())
            self._add_cycles(watched)
            ranked = await self._part("the ranking of routes", self._rank_routes) or ()
        except StepFailed as failed:
            self._notes.append(str(failed))
        if cause is not None:
            self._hint(cause)
        return Explanation(
            cause=cause.sentence if cause else None,
            top_line=self._top_line,
            top_holder=self._top_holder,
            findings=tuple(self._findings),
            notes=tuple(self._notes),
            routes=ranked,
        )

    def _cause(self, lines: Lines | None) -> Cause:
        """What the numbers say; without the lines only RSS alone can be told from the rest."""
        known = lines or Lines()
        cause = cause_of(self._growth, known.bytes_per_iteration, known.live_bytes_per_iteration)
        if lines is None and cause.kind in ("native", "mixed", "python"):
            return Cause(kind="unknown", sentence="unknown: Python's allocations could not be traced")
        return cause

    def _is_in_doubt(self, cause: Cause, lines: Lines | None) -> bool:
        """Whether small objects explain the growth only if each counts as a middling one."""
        seen = lines.bytes_per_iteration if lines else 0.0
        return cause.kind == "python" and python_share(self._growth, seen) < MOST

    async def _with_native(self, cause: Cause, lines: Lines) -> Cause:
        """Ask memray; the cause as it is known then."""
        native = await self._part("the search for native allocations", lambda: native_leaks(self._step)) or Native()
        whole = reference(self._growth)
        leaks = [leak for leak in native.leaks if leak.bytes_per_iteration >= LEAST * whole]
        if cause.kind == "python":
            if sum(leak.bytes_per_iteration for leak in leaks) < LITTLE * whole:
                return cause
            cause = cause_of(self._growth, lines.bytes_per_iteration)
        elif not leaks and lines.harness:
            lines = lines.with_harness()
            cause = self._cause(lines)
            self._tell_lines(lines)
        self._findings = [native_finding(leak, self._root) for leak in leaks] + self._findings
        if leaks and leaks[0].site:
            self._top_line = self._place(leaks[0].site)
        if native.note:
            self._notes.append(native.note)
        return cause

    def _nothing_came_back(self, watched: Watched) -> Explanation:
        """A step every hour, say: what the few iterations of an explanation allocate is not what grew."""
        note = (
            f"not explained: in {watched.iterations} more iterations the growth did not come back, so it comes in "
            "bursts; " + ("the trace saw the whole run" if self._growth.traced else _TRACE)
        )
        findings = tuple(finding for finding in self._findings if finding.kind != "object_growth")
        return Explanation(top_holder=self._top_holder, findings=findings, notes=(*self._notes, note))

    async def _step(self) -> None:
        try:
            await self._iterate()
        except StepFailed:
            raise
        except Exception as error:  # the body's own failure; its text may hold values
            failed = f"the explanation ended early: the iteration raised {type(error).__name__}"
        else:
            return
        raise StepFailed(failed)

    async def _part(self, name: str, part: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await part()
        except StepFailed:
            raise
        except Exception as error:  # a helpful part must never cost the verdict
            self._notes.append(f"{name} failed: {type(error).__name__}: {error}")
            return None

    async def _holders(self) -> Watched:
        watched = await watch(self._step, self._requests, HOLDER_ITERATIONS, self._live)
        holders = find_holders(watched, reference(self._growth), self._growth.iterations)
        types = growing_types(watched)
        if not any(holder.name.owner == "app" and not holder.is_small for holder in holders):
            linked = linked_holder(types, watched)
            if linked is not None:
                self._findings.append(linked_finding(*linked, watched))
                self._top_holder = linked[0].path
        self._findings += [holder_finding(holder, watched) for holder in holders]
        if self._top_holder is None:
            self._top_holder = next((holder.name.path for holder in holders if holder.may_lead), None)
        extra = (types_finding(types, watched), uncollectable_finding(watched))
        self._findings += [finding for finding in extra if finding is not None]
        notes = (
            filling_note(holder.name.path, holder.length, holder.limit, holder.grown / watched.iterations)
            for holder in holders
            if holder.limit is not None
        )
        self._notes += [note for note in notes if note is not None]
        return watched

    async def _lines(self) -> Lines:
        with out_of_sight():
            lines = await growing_lines(self._step, reference(self._growth), self._in_time)
        self._tell_lines(lines)
        site = next((line.site for line in lines.rows if self._may_lead(line)), None)
        if site is not None:
            self._top_line = self._place(site)
        if lines.note:
            self._notes.append(lines.note)
        return lines

    def _tell_lines(self, lines: Lines) -> None:
        little = is_little(self._growth, lines.live_bytes_per_iteration)
        whole = 0.0 if little else lines.bytes_per_iteration
        findings = [line_finding(line, whole, self._root) for line in lines.rows]
        self._findings = findings + [finding for finding in self._findings if finding.kind != "allocation"]

    def _place(self, site: Site) -> str:
        return f"{wording.place(site.path, self._root)}:{site.line}"

    def _may_lead(self, line: Line) -> bool:
        """Whether a line may be named as the one that leaks.

        Freed blocks are reused, and tracemalloc credits a small leak to whoever asked for them first, often the
        client of the test: a holder that is not the test's own knows better.
        """
        kept = as_live_bytes(line.bytes_per_iteration, line.blocks_per_iteration)
        if not line.is_app and kept < LEAST * reference(self._growth):
            return False  # an app's line that keeps as little may enlarge the list that holds the rest
        if not self._requests():
            return True
        held_elsewhere = self._top_holder is not None and Path(line.site.path).stem not in self._top_holder
        return not (line.is_driver and line.inside and held_elsewhere)

    async def _rank_routes(self) -> tuple[RouteGrowth, ...]:
        routes = await self._routes(self._step) if self._routes else {}
        if len(routes) < 2:
            return ()
        ranked = await rank_routes(routes, self._live)
        self._notes.append(routes_note(ranked))
        return ranked

    def _add_cycles(self, watched: Watched | None) -> None:
        """Samples are taken after a full collection: cycles are no part of the growth, but stay where the gc is off."""
        if gc.isenabled() or watched is None or watched.cycle_bytes < max(1.0, reference(self._growth) / 2):
            return
        finding = cycles_finding(watched)
        self._findings += [finding] if finding else []

    def _hint(self, cause: Cause) -> None:
        if cause.kind == "fragmentation":
            self._findings.insert(0, Finding(kind="fragmentation", summary=cause.sentence))
        has_tls = any("ssl.SSLContext" in row for finding in self._findings for row in finding.details)
        if has_tls or self._growth.clients_per_iteration > 0.01:
            self._notes.append(_TLS_CLIENT)
        if cause.kind in ("python", "mixed") and self._top_holder is None:
            self._notes.append(_NO_HOLDER)
        if self._growth.linear_to_the_end:
            self._notes.append("growth was still linear at the end of the run")
