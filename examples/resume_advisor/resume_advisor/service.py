"""The parts of the service, made together, started and stopped in order."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx

from resume_advisor.advisor import Advisor
from resume_advisor.cache import BoundedLRUCache
from resume_advisor.config import Config
from resume_advisor.memory import MemoryGuard, Relief, memory_usage_mb
from resume_advisor.metrics import Metrics
from resume_advisor.resources import ResourceManager
from resume_advisor.sessions import HTTPSessionManager
from resume_advisor.telemetry import TelemetryBuffer, log_events


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The classes that a service is made of; tests put in others."""

    advisor: type[Advisor] = Advisor
    cache: type[BoundedLRUCache] = BoundedLRUCache
    sessions: type[HTTPSessionManager] = HTTPSessionManager
    telemetry: type[TelemetryBuffer] = TelemetryBuffer
    usage_mb: Callable[[], float] = memory_usage_mb


def terminate() -> None:
    """Ask for a graceful shutdown: the server drains its requests, and the container is started anew."""
    os.kill(os.getpid(), signal.SIGTERM)


class Service:
    """Everything behind the routes.

    Args:
        config: the configuration.
        parts: the classes it is made of.
        model_transport: how the language model is reached; None for the network.
        shut_down: what the emergency level calls.
    """

    def __init__(
        self,
        config: Config,
        parts: Parts,
        *,
        model_transport: httpx.AsyncBaseTransport | None = None,
        shut_down: Callable[[], None] = terminate,
    ) -> None:
        self.config = config
        self.metrics = Metrics()
        self.sessions = parts.sessions(config.max_sessions)
        self.telemetry = parts.telemetry(log_events)
        self.resources = ResourceManager(
            parts.cache(config.cache_entries, config.cache_mb),
            every_interval=self.clean_up,
            interval_s=config.clean_up_interval_s,
        )
        relief = Relief(
            clear_caches=self.resources.clear_cache,
            close_idle=self.sessions.close_idle,
            close_all=self.sessions.close_all,
            collect=self.resources.force_garbage_collection,
            shut_down=shut_down,
        )
        self.guard = MemoryGuard(config, relief, parts.usage_mb)
        self._parts = parts
        self._model_transport = model_transport
        self._watch()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From start-up to shutdown: what is opened here is closed here, the last first."""
        async with contextlib.AsyncExitStack() as stack:
            await self.resources.start()
            stack.push_async_callback(self.resources.shutdown)
            stack.push_async_callback(self.sessions.close_all)
            stack.push_async_callback(self.telemetry.flush)
            model = await stack.enter_async_context(
                self.resources.managed_connection(
                    lambda: httpx.AsyncClient(base_url=self.config.model_url, transport=self._model_transport)
                )
            )
            advisor = self._parts.advisor(model, self.resources, self.sessions, self.telemetry)
            self.advisor = await stack.enter_async_context(advisor)
            yield

    async def clean_up(self) -> None:
        """Every five minutes: look at memory, close what is idle, send what was collected."""
        await self.guard.check()
        await self.sessions.close_idle()
        await self.telemetry.track("MemoryUsageCheck", memory_mb=round(self._parts.usage_mb(), 1))
        await self.telemetry.flush()

    def _watch(self) -> None:
        watch = self.metrics.watch
        watch("advisor_memory_level", "0 normal, 1 warning, 2 critical, 3 emergency.", lambda: self.guard.level)
        watch("advisor_cache_bytes", "Estimated memory of the cache.", lambda: self.resources.cache.memory_bytes)
        watch("advisor_http_sessions", "Open HTTP sessions.", lambda: len(self.sessions))
        watch("advisor_telemetry_events", "Events not sent yet.", lambda: len(self.telemetry))
