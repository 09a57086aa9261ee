"""Events for the dashboards, sent in batches."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

logger = logging.getLogger(__name__)

Event = dict[str, Any]
Export = Callable[[Sequence[Event]], Awaitable[None]]


class TelemetryBuffer:
    """Collects events and sends them when there are enough, in the clean-up job and at shutdown.

    Args:
        export: sends one batch.
        batch: events that are sent together.
        most: events kept at most while sending fails; the oldest are dropped first, and counted.
    """

    def __init__(self, export: Export, *, batch: int = 100, most: int = 1000) -> None:
        self._export = export
        self._batch = batch
        self._events: deque[Event] = deque(maxlen=most)
        self.dropped = 0

    async def track(self, name: str, **dimensions: Any) -> None:
        """Record one event."""
        self.dropped += len(self._events) == self._events.maxlen
        self._events.append({"name": name, "customDimensions": dimensions})
        if len(self._events) >= self._batch:
            await self.flush()

    async def flush(self) -> None:
        """Send what there is; what cannot be sent is kept for the next time."""
        events = [*self._events]
        self._events.clear()
        try:
            await self._export(events)
        except Exception:
            logger.warning("telemetry could not be sent", exc_info=True, extra={"event": "telemetry.failed"})
            self._events.extendleft(reversed(events))

    def __len__(self) -> int:
        return len(self._events)


async def log_events(events: Sequence[Event]) -> None:
    """Send a batch to the log, where the container's agent picks it up."""
    for event in events:
        logger.info(event["name"], extra={"event": "telemetry", "context": event["customDimensions"]})
