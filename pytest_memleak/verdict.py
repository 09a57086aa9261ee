"""The verdict of one check: everything that the reports say, as one frozen value. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pytest_memleak.model import MB, Finding, Growth, Outcome, ResourceCount, Severity
from pytest_memleak.origin import relative_path
from pytest_memleak.settings import Settings

_POINTS = 240
"""Samples kept for drawing; a record of every sample is written only where one is asked for."""


class MemoryLeakError(AssertionError):
    """A check found a leak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one check found.

    Args:
        outcome: the verdict.
        message: one sentence that says why.
        settings: what was asked for.
        iterations: iterations judged.
        requests: requests the app served in them; None when the test has no app.
        failed_requests: those that ended in an unhandled exception or a 5xx status.
        simulated_s: simulated seconds judged.
        real_s: wall seconds inside the judged iterations.
        total_s: wall seconds of everything.
        budget_bytes_per_iteration: the budget; None where nothing was measured.
        iterations_per_24h: how many iterations a day of production stands for.
        live: growth of live bytes, or None.
        rss: growth of RSS, or None.
        traced: growth of traced bytes in a traced run, or None.
        growth: the one of the two that decides, or None.
        samples: column name to values, one per iteration.
        warm_up_iterations: how many at the start the deciding sensor's judgement leaves out.
        forecast: what the rate means for the container, or None.
        rss_peak_bytes: the highest RSS seen, between samples too.
        resources: counts of what stayed open.
        findings: what a person should know, the most important first.
        notes: shorter remarks.
        routes: requests per route.
        severity: how urgent the growth is, or None.
        cause: what kind of growth it is, or None.
        top_line: the line that leads to the most growth, or None.
        top_holder: the collection that holds it, or None.
    """

    outcome: Outcome
    message: str
    settings: Settings
    iterations: int = 0
    requests: int | None = None
    failed_requests: int = 0
    simulated_s: float = 0.0
    real_s: float = 0.0
    total_s: float = 0.0
    budget_bytes_per_iteration: float | None = None
    iterations_per_24h: float | None = None
    live: Growth | None = None
    rss: Growth | None = None
    traced: Growth | None = None
    growth: Growth | None = None
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)
    warm_up_iterations: int | None = None
    rss_peak_bytes: int | None = None
    severity: Severity | None = None
    forecast: Mapping[str, Any] | None = None
    resources: tuple[ResourceCount, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    routes: Mapping[str, int] = field(default_factory=dict)
    cause: str | None = None
    top_line: str | None = None
    top_holder: str | None = None

    def raise_for_leak(self) -> None:
        """Raise `MemoryLeakError` when the verdict is ``leak``."""
        if self.outcome == "leak":
            raise MemoryLeakError(self.message)

    def as_dict(self, nodeid: str = "", *, root: str = "", all_samples: bool = False) -> dict[str, Any]:
        """Plain builtins with every key of the JSON record; null where unknown.

        Args:
            nodeid: the test.
            root: the directory that paths of findings are relative to.
            all_samples: keep every sample instead of about 240 of them.
        """
        rss, budget = self.samples.get("rss_bytes") or (), self.budget_bytes_per_iteration
        return {
            "nodeid": nodeid,
            "verdict": self.outcome,
            "message": self.message,
            "settings": self.settings.as_dict(),
            "iterations": self.iterations,
            "requests": self.requests,
            "failed_requests": self.failed_requests,
            "simulated_s": self.simulated_s,
            "real_s": round(self.real_s, 3),
            "total_s": round(self.total_s, 3),
            "warm_up_iterations": self.warm_up_iterations,
            "budget_mb_per_24h": self._per_24h(budget),
            "budget_bytes_per_iteration": None if budget is None else round(budget, 3),
            "growth": {
                "live": self._growth_dict(self.live),
                "rss": self._growth_dict(self.rss),
                "traced": self._growth_dict(self.traced),
                "sensor": None if self.growth is None else "rss" if self.growth is self.rss else "live",
            },
            "severity": self.severity,
            "cause": self.cause,
            "top_line": self.top_line,
            "top_holder": self.top_holder,
            "notes": list(self.notes),
            "routes": dict(self.routes),
            "rss": {
                "start_bytes": int(rss[0]) if rss else None,
                "peak_bytes": self.rss_peak_bytes,
                "end_bytes": int(rss[-1]) if rss else None,
            },
            "forecast": dict(self.forecast) if self.forecast else None,
            "unclosed_clients": sum(r.count_end for r in self.resources if r.kind == "client"),
            "resources": [{**asdict(r), "sites": list(r.sites)} for r in self.resources],
            "findings": [_finding_dict(finding, root) for finding in self.findings],
            "samples": self._samples_dict(all_samples),
        }

    def _per_24h(self, bytes_per_iteration: float | None) -> float | None:
        """MB per 24 h of an amount per iteration."""
        if bytes_per_iteration is None or self.iterations_per_24h is None:
            return None
        return round(bytes_per_iteration * self.iterations_per_24h / MB, 3)

    def _growth_dict(self, growth: Growth | None) -> dict[str, float | None] | None:
        if growth is None:
            return None
        rate = growth.bytes_per_iteration
        per_request = rate * self.iterations / self.requests if self.requests else None
        return {
            "mb_per_24h": self._per_24h(rate),
            "low_mb_per_24h": self._per_24h(growth.low_bytes_per_iteration),
            "high_mb_per_24h": self._per_24h(growth.high_bytes_per_iteration),
            "bytes_per_iteration": round(rate, 1),
            "low_bytes_per_iteration": round(growth.low_bytes_per_iteration, 1),
            "high_bytes_per_iteration": round(growth.high_bytes_per_iteration, 1),
            "bytes_per_request": None if per_request is None else round(per_request, 2),
        }

    def _samples_dict(self, all_samples: bool) -> dict[str, list[float]]:
        if not self.samples:
            return {}
        stride = 1 if all_samples else max(1, self.iterations // _POINTS)
        kept = [*range(0, self.iterations, stride)]
        if kept and kept[-1] != self.iterations - 1:
            kept.append(self.iterations - 1)
        columns: dict[str, list[float]] = {"iteration": [i + 1 for i in kept]}
        for name, column in self.samples.items():
            if column:
                columns[name] = [column[i] for i in kept]
        return columns


def _finding_dict(finding: Finding, root: str) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "summary": finding.summary,
        "details": list(finding.details),
        "path": None if finding.path is None else relative_path(finding.path, root),
        "line": finding.line,
        "owner": finding.owner,
    }
