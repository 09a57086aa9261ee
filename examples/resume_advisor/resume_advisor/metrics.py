"""Prometheus metrics: those of the process, and our own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, ProcessCollector


class Metrics:
    """The metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # process_resident_memory_bytes
        GCCollector(registry=self.registry)
        self.requests = Counter("advisor_requests", "Requests by status.", ["status"], registry=self.registry)
        self.rejected = Counter("advisor_requests_rejected", "Requests turned away.", registry=self.registry)
        self.forced_gc = Counter("advisor_forced_gc", "Garbage collections after a request.", registry=self.registry)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)
