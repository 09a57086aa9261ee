"""The configuration, from the environment variables of the container."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What can be set from outside. Sizes are in MiB, as containers count them.

    Args:
        warning_mb: RSS from which caches are cleared and garbage is collected.
        critical_mb: RSS from which new requests are rejected, too.
        emergency_mb: RSS from which the service asks to be shut down, too.
        limit_mb: memory of the container.
        monitoring: whether requests are measured at all.
        lightweight_monitoring: read RSS once a second at most, instead of around every request.
        capture_errors: whether unhandled exceptions are sent as telemetry.
        request_growth_mb: growth within one request that triggers a garbage collection.
        clean_up_interval_s: seconds between two runs of the clean-up job.
        cache_entries: analyses kept at most.
        cache_mb: memory of the kept analyses at most.
        max_sessions: HTTP sessions kept open at most, one for each host.
        model_url: where the language model answers.
    """

    warning_mb: float = 1500
    critical_mb: float = 1800
    emergency_mb: float = 1900
    limit_mb: float = 2048
    monitoring: bool = True
    lightweight_monitoring: bool = True
    capture_errors: bool = True
    request_growth_mb: float = 50
    clean_up_interval_s: float = 300
    cache_entries: int = 200
    cache_mb: float = 50
    max_sessions: int = 100
    model_url: str = "http://model.internal"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Config:
        """The configuration that the container's environment asks for."""
        default = cls()

        def number(name: str, otherwise: float) -> float:
            return float(environ.get(name, otherwise))

        def switch(name: str, otherwise: bool) -> bool:
            return environ.get(name, str(otherwise)).lower() in ("1", "true", "yes", "on")

        return cls(
            warning_mb=number("MEMORY_WARNING_THRESHOLD", default.warning_mb),
            critical_mb=number("MEMORY_CRITICAL_THRESHOLD", default.critical_mb),
            emergency_mb=number("MEMORY_EMERGENCY_THRESHOLD", default.emergency_mb),
            limit_mb=number("CONTAINER_MEMORY_LIMIT_MB", default.limit_mb),
            monitoring=switch("MONITORING_ENABLED", default.monitoring),
            lightweight_monitoring=switch("LIGHTWEIGHT_MONITORING", default.lightweight_monitoring),
            capture_errors=switch("ERROR_CAPTURE_ENABLED", default.capture_errors),
            model_url=environ.get("MODEL_URL", default.model_url),
        )
