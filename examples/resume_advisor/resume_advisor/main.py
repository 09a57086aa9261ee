"""The app. Run with: uvicorn --factory resume_advisor.main:create_app"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

import httpx
from fastapi import FastAPI

from resume_advisor.config import Config
from resume_advisor.logs import configure_logging
from resume_advisor.middleware import MemoryMiddleware
from resume_advisor.routes import memory, router
from resume_advisor.service import Parts, Service, terminate


def create_app(
    config: Config | None = None,
    parts: Parts | None = None,
    *,
    model_transport: httpx.AsyncBaseTransport | None = None,
    shut_down: Callable[[], None] = terminate,
) -> FastAPI:
    """The app with its own service.

    Args:
        config: by default from the environment.
        parts: other classes to make the service of; for tests.
        model_transport: how the language model is reached; None for the network.
        shut_down: what the emergency level calls.
    """
    configure_logging()
    service = Service(
        config or Config.from_environ(), parts or Parts(), model_transport=model_transport, shut_down=shut_down
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(title="Resume advisor", lifespan=lifespan)
    app.state.service = service
    app.include_router(router)
    app.include_router(memory)
    app.add_middleware(MemoryMiddleware, service=service)
    return app
