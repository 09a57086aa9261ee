"""What a scenario is: a bare ASGI app, one iteration of requests to it, and the truth about it."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

BUDGET_BYTES_PER_DAY = 500e6
ITERATIONS_PER_DAY = 1440
BUDGET_PER_ITERATION = BUDGET_BYTES_PER_DAY / ITERATIONS_PER_DAY

Kind = Literal["memory", "native", "client", "task", "thread", "fd", "child process"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as an app sees it: its number from 1 on, its path, its body."""

    number: int
    path: str
    body: bytes


class App:
    """An ASGI app with one endpoint, lean enough for thousands of requests a second.

    Args:
        answer: takes a request, returns the response's body.
        job: runs beside the requests, from startup to shutdown.
    """

    def __init__(
        self,
        answer: Callable[[Request], Awaitable[bytes]],
        job: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._answer = answer
        self._job = job
        self._running: asyncio.Task[None] | None = None
        self._served = 0

    async def startup(self) -> None:
        """Start the job, if there is one."""
        if self._job:
            self._running = asyncio.create_task(self._job())
            await asyncio.sleep(0)

    async def shutdown(self) -> None:
        """Stop the job."""
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """ASGI: lifespan and HTTP."""
        if scope["type"] == "lifespan":
            await receive()
            await self.startup()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.shutdown()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self._served += 1
        content = await self._answer(Request(self._served, scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": content})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One app whose behaviour is known; the same for every tool.

    Args:
        name: how tables call it.
        build: makes a fresh app.
        expected: the right verdict under its budget.
        kind: what leaks, or what a clean app might be suspected of.
        bytes_per_iteration: what one iteration keeps in the long run; 0 for a clean app. Approximate where a
            resource leaks, whose memory is not the point.
        requests: how many an iteration sends.
        traffic_per_s: requests a second in production that the budget is meant for; None: what the test sends.
        max_growth_per_request: a budget in bytes a request instead of 500 MB a day.
        holder: a part of the true holder's path, where a collection holds what leaks.
        unique_urls: whether every request has a path of its own.
        body: of every request.
    """

    name: str
    build: Callable[[], App]
    expected: Literal["clean", "leak"]
    kind: Kind = "memory"
    bytes_per_iteration: float = 0
    requests: int = 10
    traffic_per_s: float | None = None
    max_growth_per_request: float | None = None
    holder: str | None = None
    unique_urls: bool = False
    body: bytes = b'{"n": 1}'
    _numbers: itertools.count[int] = field(default_factory=itertools.count, compare=False, repr=False)

    async def step(self, client: httpx.AsyncClient) -> None:
        """One iteration."""
        for _ in range(self.requests):
            path = f"/{next(self._numbers)}" if self.unique_urls else "/"
            response = await client.post(path, content=self.body)
            assert response.status_code == 200

    @property
    def budget_per_iteration(self) -> float:
        """The budget in bytes that every tool is given."""
        if self.max_growth_per_request is not None:
            return self.max_growth_per_request * self.requests
        if self.traffic_per_s is not None:
            return BUDGET_BYTES_PER_DAY / 86_400 / self.traffic_per_s * self.requests
        return BUDGET_PER_ITERATION

    @property
    def marker(self) -> dict[str, str]:
        """The budget as arguments of pytest-memleak's marker; none for the defaults."""
        if self.max_growth_per_request is not None:
            return {"max_growth": f"{self.max_growth_per_request:g}B/request"}
        return {} if self.traffic_per_s is None else {"traffic": f"{self.traffic_per_s:g}/s"}

    @property
    def line(self) -> str | None:
        """``file.py:12`` of the comment ``# leaks`` in the app's source, where there is one."""
        function = getattr(self.build, "func", self.build)  # of a partial
        lines, first = inspect.getsourcelines(function)
        file = Path(inspect.getsourcefile(function) or "").name
        found = [first + i for i, line in enumerate(lines) if line.rstrip().endswith("# leaks")]
        return f"{file}:{found[0]}" if found else None


def payload(size_bytes: int) -> bytes:
    """A fresh bytes object of that size with its header."""
    return b"x" * (size_bytes - 33)
