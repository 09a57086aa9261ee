"""Around every request: turn it away when memory is short, measure it, collect what it left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resume_advisor.memory import memory_usage_mb

if TYPE_CHECKING:
    from resume_advisor.service import Service

ALWAYS_ANSWERED = ("/health", "/metrics", "/api/v1/memory")
"""What tells people about a lack of memory must work while there is one."""


class MemoryMiddleware:
    """Plain ASGI: a middleware that copies bodies would need memory itself.

    Args:
        app: the app inside.
        service: whose memory is guarded.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._checked_at = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._service.guard.rejects_requests and not scope["path"].startswith(ALWAYS_ANSWERED):
            await self._check()  # it may be over
            if self._service.guard.rejects_requests:
                self._service.metrics.rejected.inc()
                busy = JSONResponse({"detail": "memory is short, try again later"}, 503, {"Retry-After": "30"})
                await busy(scope, receive, send)
                return
        await self._measured(scope, receive, send)

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self._service
        status = 500

        async def watching_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        measures = service.config.monitoring and not service.config.lightweight_monitoring
        before_mb = memory_usage_mb() if measures else 0.0
        try:
            await self._app(scope, receive, watching_send)
        except Exception as error:
            if service.config.capture_errors:
                await service.telemetry.track("UnhandledError", error=repr(error), path=scope["path"])
            raise
        finally:
            service.metrics.requests.labels(status).inc()
        if measures and memory_usage_mb() - before_mb > service.config.request_growth_mb:
            service.metrics.forced_gc.inc()
            await service.resources.force_garbage_collection()
        if service.config.monitoring and time.monotonic() - self._checked_at >= 1:
            await self._check()

    async def _check(self) -> None:
        self._checked_at = time.monotonic()
        await self._service.guard.check()
