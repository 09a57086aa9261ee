"""The run audits itself: what speaks against its own verdict is said beside it, or takes it back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from pytest_memleak.judge.growth import warm_up_end
from pytest_memleak.units import format_bytes
from pytest_memleak.verdict import Verdict

_FAILED_SHARE, _REFUSED_SHARE, _SILENT_SHARE = 0.01, 0.5, 0.1
"""Shares of the requests, and of the iterations without one, from which a reader should know."""
_ONE_ITERATION_SHARE = 0.8
_SWING_BYTES = 1_000_000
"""Swings below it are what allocators do."""
_PEAK_BYTES, _PEAK_FACTOR = 64_000_000, 1.5
"""A peak between two samples counts from here on: above the highest sample by both."""
_FLOOR_BYTES, _FLOOR_BYTES_PER_REQUEST = 512, 64
"""Growth of an iteration that a quiet app's sensors waver by, ten times over."""
_RSS_FLOOR_BYTES = 400_000


def audited(verdict: Verdict, refused_requests: int = 0) -> Verdict:
    """The verdict with what the run says against itself.

    Args:
        verdict: what memory says.
        refused_requests: those answered 4xx.

    Returns:
        the verdict with notes; ``inconclusive`` where the run does not carry what it says.
    """
    notes = [
        *_traffic_notes(verdict, refused_requests),
        *_swing_note(verdict),
        *_floor_note(verdict),
        *_limit_note(verdict),
        *_peak_note(verdict),
    ]
    reason = None
    if verdict.outcome == "leak" and not _hit_a_limit(verdict):
        reason = _one_iteration(verdict)
    elif verdict.outcome == "passed":
        reason = _traffic_ended(verdict)
    if reason is None:
        return replace(verdict, notes=(*verdict.notes, *notes))
    return replace(
        verdict,
        outcome="inconclusive",
        message=f"{reason} ({verdict.message})",
        findings=tuple(finding for finding in verdict.findings if not finding.fails),
        notes=(*verdict.notes, *notes),
    )


def _per_iteration(verdict: Verdict) -> list[float]:
    """Requests that reached the app in each iteration."""
    totals = verdict.samples.get("requests", ())
    return [later - earlier for earlier, later in pairwise((0, *totals))]


def _traffic_notes(verdict: Verdict, refused_requests: int) -> Iterator[str]:
    requests = verdict.requests
    if not requests:
        return
    if verdict.failed_requests >= _FAILED_SHARE * requests:
        yield (
            f"{verdict.failed_requests:,} of {requests:,} requests failed ({verdict.failed_requests / requests:.0%}) "
            "with an unhandled exception or a 5xx status"
        )
    if refused_requests >= _REFUSED_SHARE * requests:
        yield (
            f"{refused_requests:,} of {requests:,} requests were answered 4xx ({refused_requests / requests:.0%}): "
            "mostly the error path was measured"
        )
    silent = sum(not sent for sent in _per_iteration(verdict))
    if silent >= _SILENT_SHARE * verdict.iterations:
        yield f"no request reached the app in {silent:,} of {verdict.iterations:,} iterations"


def _traffic_ended(verdict: Verdict) -> str | None:
    """Why a pass says nothing: the traffic stopped before the stretch it is judged on."""
    sent = _per_iteration(verdict)
    if not verdict.requests or any(sent[-(len(sent) // 3) :]):
        return None
    last = max(index for index, count in enumerate(sent) if count) + 1
    return (
        f"no request reached the app after iteration {last:,} of {verdict.iterations:,}, so that nothing could grow; "
        "let the test send some in every iteration"
    )


def _deciding(verdict: Verdict) -> Sequence[float]:
    """The series of the sensor that decides."""
    name = "rss_bytes" if verdict.growth is verdict.rss else "live_bytes"
    return verdict.samples.get(name, ())


def _one_iteration(verdict: Verdict) -> str | None:
    """Why a leak is none: one iteration added nearly everything, and the others stay below the budget."""
    series = _deciding(verdict)[1:]  # the first sample carries the cost of sampling itself
    start = warm_up_end(series)
    steady = series[start:]
    if len(steady) < 2 or verdict.budget_bytes_per_iteration is None:
        return None
    grown = steady[-1] - steady[0]
    step, at = max((later - earlier, index) for index, (earlier, later) in enumerate(pairwise(steady)))
    others = (grown - step) / (len(steady) - 1)
    if step < _ONE_ITERATION_SHARE * grown or others > verdict.budget_bytes_per_iteration:
        return None
    return (
        f"iteration {start + at + 3:,} alone added {format_bytes(step)} of the {format_bytes(grown)} that memory grew "
        "by, so that no rate follows; a longer duration shows whether that comes again"
    )


def _swing_note(verdict: Verdict) -> Iterator[str]:
    """Memory that did not settle hides slow growth."""
    series = verdict.samples.get("live_bytes") or verdict.samples.get("rss_bytes") or ()
    budget = verdict.budget_bytes_per_iteration
    last = series[-(len(series) // 3) :]
    if verdict.outcome != "passed" or budget is None or len(last) < 2:
        return
    swing = max(highest - value for highest, value in zip(accumulate(last, max), last, strict=True))
    allowed = max(budget * len(last), _SWING_BYTES)
    if swing > allowed:
        yield (
            f"memory had not settled: it falls by up to {format_bytes(swing)} in the last third; the budget allows "
            f"{format_bytes(budget * len(last))} there; a longer duration would see smaller leaks"
        )


def _floor_note(verdict: Verdict) -> Iterator[str]:
    if verdict.outcome != "leak" or verdict.growth is None or not verdict.iterations:
        return
    each = _FLOOR_BYTES + _FLOOR_BYTES_PER_REQUEST * (verdict.requests or 0) / verdict.iterations
    if verdict.growth is verdict.rss:
        each += _RSS_FLOOR_BYTES / verdict.iterations
    if verdict.growth.bytes_per_iteration < each:
        yield (
            f"the growth of {format_bytes(verdict.growth.bytes_per_iteration)} an iteration is close to what the "
            "sensors waver by; confirm it with profile soak or more requests an iteration"
        )


def _limit_note(verdict: Verdict) -> Iterator[str]:
    if _hit_a_limit(verdict):
        yield (
            f"a memory limit ended the run after {verdict.iterations:,} of {verdict.settings.last_look:,} iterations: "
            "the rate is that between the two ends, without an interval"
        )


def _hit_a_limit(verdict: Verdict) -> bool:
    return any(finding.kind == "memory_limit" for finding in verdict.findings)


def _peak_note(verdict: Verdict) -> Iterator[str]:
    sampled = verdict.samples.get("rss_bytes", ())
    if not sampled or verdict.rss_peak_bytes is None:
        return
    highest = max(sampled)
    if verdict.rss_peak_bytes > max(highest + _PEAK_BYTES, highest * _PEAK_FACTOR):
        kept = max(0, sampled[-1] - sampled[0])
        yield (
            f"retains {format_bytes(kept)}, but peaked at {format_bytes(verdict.rss_peak_bytes)} between two samples: "
            "a container is killed by its peak"
        )
