"""From what was measured and how the last look decided to the verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_memleak.judge.audit import audited
from pytest_memleak.judge.growth import warm_up_end
from pytest_memleak.judge.limits import MemoryGuard, forecast, severity
from pytest_memleak.judge.live import live_series
from pytest_memleak.judge.memory import MemoryLook, Readings
from pytest_memleak.model import MB, Explanation, Finding, Growth, Outcome, ResourceCount
from pytest_memleak.origin import relative_path
from pytest_memleak.settings import Settings
from pytest_memleak.units import format_bytes, format_duration
from pytest_memleak.verdict import Verdict

_FLOOR_BYTES_PER_ITERATION = 512.0
_FLOOR_BYTES_PER_REQUEST = 64.0
"""Growth that a quiet app's sensors cannot tell from nothing, ten times over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The facts of one run, whether it came to its end or not."""

    settings: Settings
    readings: Readings
    requests_by_iteration: Sequence[int]
    requests: int | None
    failed_requests: int
    routes: Mapping[str, int]
    rss_peak_bytes: int | None
    memory_limit_bytes: int
    real_s: float
    total_s: float
    refused_requests: int = 0
    open_counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def iterations(self) -> int:
        return len(self.readings.rss_bytes)

    @property
    def requests_per_iteration(self) -> float:
        return (self.requests or 0) / self.iterations if self.iterations else 0.0

    @property
    def budget_bytes(self) -> float:
        """The budget of one iteration in bytes."""
        return self.settings.budget_bytes_per_iteration(self.requests_per_iteration)

    @property
    def iterations_per_24h(self) -> float:
        return self.settings.iterations_per_24h(self.requests_per_iteration)

    @property
    def live_bytes(self) -> list[float]:
        return live_series(self.readings.heap_bytes, self.readings.blocks, self.readings.calibrations)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStop:
    """The memory guard stopped the run."""

    guard: MemoryGuard
    rss_bytes: int


def failed(measured: Measured, message: str, *findings: Finding) -> Verdict:
    """The verdict ``error``, with what is known until then."""
    return Verdict(outcome="error", message=message, findings=findings, **_facts(measured))


def conclude(
    measured: Measured,
    decided: MemoryLook | EarlyStop,
    resources: tuple[tuple[ResourceCount, ...], tuple[Finding, ...]] = ((), ()),
    explanation: Explanation | None = None,
    traced: tuple[Finding, ...] = (),
    root: str = "",
) -> Verdict:
    """The verdict of a run that came to a decision.

    Args:
        measured: the facts.
        decided: the deciding look, or the guard that stopped the run.
        resources: counts and findings of what stayed open; one that fails makes the verdict ``leak``.
        explanation: of the growth, when there was one.
        traced: the lines that a traced run saw growing.
        root: the directory that places are relative to.
    """
    counts, left_open = resources
    explanation = explanation or Explanation()
    memory = _stopped(measured, decided) if isinstance(decided, EarlyStop) else _decided(measured, decided)
    memory = audited(memory, measured.refused_requests)
    failing = [finding for finding in left_open if finding.fails]
    outcome, message = memory.outcome, memory.message
    if failing:
        # What stays open is counted, not estimated: it stands whatever memory says.
        message = "; ".join([message, failing[0].summary] if outcome == "leak" else [failing[0].summary])
        outcome = "leak"
    return replace(
        memory,
        outcome=outcome,
        message=message,
        resources=counts,
        findings=(*memory.findings, *left_open, *explanation.findings, *traced),
        notes=(*memory.notes, *measured.notes, *explanation.notes),
        cause=explanation.cause or ("unclosed clients or other resources" if failing else None),
        top_line=_top_line(memory, counts, failing, explanation, traced, root),
        top_holder=explanation.top_holder,
    )


def _top_line(
    memory: Verdict,
    counts: Sequence[ResourceCount],
    failing: Sequence[Finding],
    explanation: Explanation,
    traced: Sequence[Finding],
    root: str,
) -> str | None:
    """Where a task waits or a client is made; beside what stays open and does not grow, the growth's line."""
    growing = {site for count in counts if count.per_iteration > 0 for site in count.sites}
    beside = memory.outcome == "leak" and explanation.cause
    stay = (f for f in failing if f.path and (not beside or f.kind == "dropped_client" or _place(f, root) in growing))
    last = next((_place(f, root) for f in traced if f.path), None)
    return next((_place(f, root) for f in stay), explanation.top_line or last)


def _place(finding: Finding, root: str) -> str:
    return f"{relative_path(finding.path or '', root)}:{finding.line}"


def _decided(measured: Measured, decided: MemoryLook) -> Verdict:
    """What memory alone says after the last look."""
    outcome: Outcome = "inconclusive" if decided.outcome == "continue" else decided.outcome
    growth = decided.worse
    per_24h = growth.bytes_per_iteration * measured.iterations_per_24h / MB
    findings = []
    if outcome == "leak":
        findings.append(Finding(kind="memory_growth", summary=_growth_sentence(measured, growth), fails=True))
    if broken := _failed_requests(measured):
        outcome = "inconclusive"
        findings.insert(0, broken)
    elif outcome == "passed" and grows_well_above_floor(measured, decided.live_growth):
        summary = f"growing, within budget: {_growth_sentence(measured, decided.live_growth)}"
        findings.append(Finding(kind="growing_within_budget", summary=summary))
    notes = []
    if innocent := _innocence_note(measured, decided):
        notes.append(innocent)
        if decided.innocent_rss == "fragmentation":
            findings.append(Finding(kind="fragmentation", summary=innocent))
    return Verdict(
        outcome=outcome,
        message=broken.summary if broken else _message(outcome, measured, growth, decided),
        budget_bytes_per_iteration=measured.budget_bytes,
        iterations_per_24h=measured.iterations_per_24h,
        live=decided.live_growth,
        rss=decided.rss_growth,
        traced=decided.traced_growth,
        growth=growth,
        warm_up_iterations=_warm_up(measured, decided),
        severity=severity(per_24h),
        forecast=forecast(measured.readings.rss_bytes[-1], per_24h, measured.memory_limit_bytes),
        findings=tuple(findings),
        notes=tuple(notes),
        **_facts(measured),
    )


def _warm_up(measured: Measured, decided: MemoryLook) -> int:
    """Iterations that the deciding sensor's judgement leaves out: the first sample, and what its shape says."""
    by_rss = decided.worse is decided.rss_growth
    return 1 + warm_up_end((measured.readings.rss_bytes if by_rss else measured.live_bytes)[1:])


def _facts(measured: Measured) -> dict[str, Any]:
    """What every verdict tells, whatever its outcome."""
    settings, done = measured.settings, measured.iterations
    readings = measured.readings
    return {
        "settings": settings,
        "iterations": done,
        "requests": measured.requests,
        "failed_requests": measured.failed_requests,
        "routes": measured.routes,
        "simulated_s": done * settings.step_s,
        "real_s": measured.real_s,
        "total_s": measured.total_s,
        "rss_peak_bytes": measured.rss_peak_bytes,
        "samples": {
            "simulated_s": [(i + 1) * settings.step_s for i in range(done)],
            "requests": measured.requests_by_iteration,
            "rss_bytes": readings.rss_bytes,
            "vms_bytes": readings.vms_bytes,
            "live_bytes": [round(value) for value in measured.live_bytes],
            "traced_bytes": readings.traced_bytes,
            **{f"{kind}_count": counts for kind, counts in measured.open_counts.items()},
        },
    }


def _stopped(measured: Measured, stop: EarlyStop) -> Verdict:
    """A run that the guard stopped: a leak when the growth already exceeds the whole run's budget."""
    guard, limit = stop.guard, measured.settings.max_memory_bytes
    grown = stop.rss_bytes - guard.start_bytes
    where = f"in iteration {measured.iterations} of {measured.settings.last_look}"
    if limit and stop.rss_bytes > limit:
        outcome: Outcome = "leak"
        summary = f"RSS reached {format_bytes(stop.rss_bytes)}, above max_memory {format_bytes(limit)}, {where}"
    else:
        outcome = "leak" if guard.proves_leak(stop.rss_bytes) else "inconclusive"
        summary = (
            f"RSS grew by {format_bytes(grown)} and was stopped {where} before the machine runs out of memory; the "
            f"budget allows {format_bytes(guard.run_budget_bytes)} in the whole run"
        )
    rate = grown / max(1, measured.iterations - 1)
    growth = Growth(bytes_per_iteration=rate, low_bytes_per_iteration=rate, high_bytes_per_iteration=rate)
    per_24h = rate * measured.iterations_per_24h / MB
    return Verdict(
        outcome=outcome,
        message=summary,
        budget_bytes_per_iteration=measured.budget_bytes,
        iterations_per_24h=measured.iterations_per_24h,
        rss=growth,
        growth=growth,
        severity=severity(per_24h),
        forecast=forecast(stop.rss_bytes, per_24h, measured.memory_limit_bytes),
        findings=(Finding(kind="memory_limit", summary=summary, fails=outcome == "leak"),),
        **_facts(measured),
    )


def _failed_requests(measured: Measured) -> Finding | None:
    """More than half of the requests failing says nothing about the app in production."""
    requests, broken = measured.requests or 0, measured.failed_requests
    if measured.settings.allow_errors or broken * 2 <= requests:
        return None
    return Finding(
        kind="failed_requests",
        summary=f"{broken:,} of {requests:,} requests failed with an unhandled exception or a 5xx status, so the "
        "growth says little; repair them, or set allow_errors=True if that is what the test is about",
    )


def grows_well_above_floor(measured: Measured, growth: Growth) -> bool:
    """Whether the interval is clear of what a quiet app's sensors waver by."""
    floor = _FLOOR_BYTES_PER_ITERATION + _FLOOR_BYTES_PER_REQUEST * measured.requests_per_iteration
    return growth.low_bytes_per_iteration > floor


def _growth_sentence(measured: Measured, growth: Growth) -> str:
    scale = measured.iterations_per_24h
    rate, low, high = (
        format_bytes(value * scale)
        for value in (
            growth.bytes_per_iteration,
            growth.low_bytes_per_iteration,
            growth.high_bytes_per_iteration,
        )
    )
    each = f"{format_bytes(growth.bytes_per_iteration)} an iteration"
    if measured.requests:
        each += f", {format_bytes(growth.bytes_per_iteration / measured.requests_per_iteration)} a request"
    return f"grows by {rate}/24h (99 % interval {low} to {high}; {each}), budget {measured.settings.max_growth.text}"


def _message(outcome: Outcome, measured: Measured, growth: Growth, decided: MemoryLook) -> str:
    """One sentence that says why."""
    sentence = _growth_sentence(measured, growth)
    day = format_duration(measured.iterations * measured.settings.step_s)
    if outcome == "leak":
        sensor = "RSS" if decided.rss.leaks and not decided.live.leaks else "live bytes"
        return f"{sentence}; still growing after {day} ({sensor})"
    if outcome == "passed":
        return sentence
    unclear = "the interval still includes the budget"
    if growth.low_bytes_per_iteration > measured.budget_bytes:
        unclear = "that is above the budget, but it may be about to end: a cache that fills, or a few steps"
    return (
        f"{sentence}; after {day} {unclear}. A longer duration, more requests an iteration or a quieter test would "
        "decide it"
    )


def _innocence_note(measured: Measured, decided: MemoryLook) -> str | None:
    readings = measured.readings
    grown = format_bytes(readings.rss_bytes[-1] - readings.rss_bytes[0])
    if decided.innocent_rss == "first_touch":
        return f"RSS grew by {grown}, mapped memory did not: pages reserved before were touched at last, not a leak"
    if decided.innocent_rss == "fragmentation":
        return f"RSS grew by {grown}, live bytes did not: freed memory that the allocators keep for reuse, not a leak"
    return None
