"""How much memory the process uses, and what is done when it is too much."""

from __future__ import annotations

import enum
import gc
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil

from resume_advisor.config import Config

logger = logging.getLogger(__name__)
_process = psutil.Process()


class Level(enum.IntEnum):
    """How serious the use of memory is."""

    NORMAL = 0
    WARNING = 1
    CRITICAL = 2
    EMERGENCY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryMetrics:
    """Memory and garbage of the process."""

    rss_mb: float
    collections: int
    uncollectable: int


def memory_usage_mb() -> float:
    """RSS of this process in MiB."""
    return float(_process.memory_info().rss / 2**20)


def memory_metrics() -> MemoryMetrics:
    """The numbers for the statistics endpoint."""
    return MemoryMetrics(
        rss_mb=round(memory_usage_mb(), 1),
        collections=sum(generation["collections"] for generation in gc.get_stats()),
        uncollectable=len(gc.garbage),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """What can be done against a lack of memory.

    Args:
        clear_caches: forgets what can be computed again.
        close_idle: closes sessions that nobody uses.
        close_all: closes every session.
        collect: collects garbage.
        shut_down: asks for a graceful shutdown: requests are drained, then the container is restarted.
    """

    clear_caches: Callable[[], None]
    close_idle: Callable[[], Awaitable[object]]
    close_all: Callable[[], Awaitable[object]]
    collect: Callable[[], Awaitable[object]]
    shut_down: Callable[[], None]


class MemoryGuard:
    """Compares the use of memory with the thresholds and acts; one level includes those below.

    Args:
        config: with the thresholds.
        relief: what can be done.
        usage_mb: reads the use of memory.
    """

    def __init__(self, config: Config, relief: Relief, usage_mb: Callable[[], float] = memory_usage_mb) -> None:
        self._config = config
        self._relief = relief
        self._usage_mb = usage_mb
        self._shutdown_requested = False
        self.level = Level.NORMAL

    @property
    def rejects_requests(self) -> bool:
        """Whether new requests are turned away until memory is free again."""
        return self.level >= Level.CRITICAL

    def level_of(self, used_mb: float) -> Level:
        """The level of an amount of memory."""
        config = self._config
        thresholds = (config.warning_mb, config.critical_mb, config.emergency_mb)
        return Level(sum(used_mb > threshold for threshold in thresholds))

    async def check(self) -> Level:
        """Measure, relieve, and measure again: the level that remains."""
        before_mb = self._usage_mb()
        found = self.level_of(before_mb)
        if found >= Level.WARNING:
            self._relief.clear_caches()
            await self._relief.close_idle()
            if found >= Level.CRITICAL:
                await self._relief.close_all()
            await self._relief.collect()
        self.level = self.level_of(self._usage_mb())
        if found >= Level.WARNING:
            self._log(found, before_mb)
        if self.level is Level.EMERGENCY and not self._shutdown_requested:
            self._shutdown_requested = True
            self._relief.shut_down()
        return self.level

    def _log(self, found: Level, before_mb: float) -> None:
        event = "system.high_memory" if found is Level.WARNING else "system.memory_critical"
        logger.log(
            logging.WARNING if found is Level.WARNING else logging.ERROR,
            "memory is short: caches cleared, garbage collected",
            extra={
                "event": event,
                "context": {
                    "memory_used_mb": round(before_mb, 1),
                    "memory_limit_mb": self._config.limit_mb,
                    "memory_usage_percent": round(100 * before_mb / self._config.limit_mb, 1),
                    "level": found.name.lower(),
                    "level_after": self.level.name.lower(),
                },
            },
        )
