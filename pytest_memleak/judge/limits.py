"""What a growth rate means for a container: severity, forecast, and when to stop a run. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_memleak.model import MB, Severity

FORECAST_HOURS = (6, 12, 24, 48)
_SEVERITIES: tuple[tuple[float, Severity], ...] = ((100, "critical"), (50, "high"), (10, "warning"))
"""MB per hour from which a growth is called so."""


def severity(mb_per_24h: float) -> Severity:
    """How urgent a growth rate is: warning from 10, high from 50, critical from 100 MB an hour."""
    for least, name in _SEVERITIES:
        if mb_per_24h / 24 >= least:
            return name
    return "normal"


def forecast(rss_bytes: float, mb_per_24h: float, limit_bytes: int) -> dict[str, object]:
    """RSS after 6, 12, 24 and 48 hours at this rate, and the hours until 80 % and 100 % of the limit.

    Args:
        rss_bytes: resident bytes at the end of the run.
        mb_per_24h: the growth rate; a negative one counts as none.
        limit_bytes: what the container may use.
    """
    per_hour = max(0.0, mb_per_24h) * MB / 24

    def hours_until(share: float) -> float | None:
        missing = share * limit_bytes - rss_bytes
        if missing <= 0:
            return 0.0
        return round(missing / per_hour, 1) if per_hour > 0 else None

    return {
        "memory_limit_bytes": limit_bytes,
        "rss_bytes_after_hours": {str(h): round(rss_bytes + per_hour * h) for h in FORECAST_HOURS},
        "hours_until_80_percent": hours_until(0.8),
        "hours_until_100_percent": hours_until(1.0),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryGuard:
    """When a run must stop before the machine runs out of memory.

    Args:
        start_bytes: RSS at the first sample.
        run_budget_bytes: what the budget allows in the whole run.
        available_bytes: free memory of the machine or container at the start.
        max_memory_bytes: the user's own limit of RSS, or None.
    """

    start_bytes: int
    run_budget_bytes: float
    available_bytes: int
    max_memory_bytes: int | None

    @property
    def stop_bytes(self) -> float:
        """RSS at which the run stops.

        Growth of max(2 x the run's budget, a quarter of the available memory), or the user's limit.
        """
        growth = max(2 * self.run_budget_bytes, 0.25 * self.available_bytes)
        # A budget of many gigabytes must not license exhausting the machine.
        stop = self.start_bytes + min(growth, 0.8 * self.available_bytes)
        return min(stop, self.max_memory_bytes) if self.max_memory_bytes else stop

    def proves_leak(self, rss_bytes: int) -> bool:
        """Whether the growth already exceeds what the budget allows for the whole run."""
        return rss_bytes - self.start_bytes > self.run_budget_bytes
