"""Twelve ways to leak, each one line away from the service as it is. For its tests only.

Every class takes the place of one part of the service and gets one thing wrong; the line that does so ends in
``# the leak``. `DEFECTS` has the parts to make a leaking service of, `clean_up` frees what outlives an app.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import json
import weakref
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
import httpx

from resume_advisor.advisor import Advisor
from resume_advisor.cache import BoundedLRUCache
from resume_advisor.memory import memory_metrics
from resume_advisor.service import Parts
from resume_advisor.telemetry import TelemetryBuffer


class UnclosedClient(Advisor):
    """A new client for each question to the model, and nobody closes it."""

    async def ask_model(self, prompt: str) -> str:
        client = httpx.AsyncClient(transport=self.model._transport, base_url=self.model.base_url)  # the leak
        response = await client.post("/v1/answer", json={"prompt": prompt})
        return str(response.json()["answer"])


class UnclosedSession(Advisor):
    """A session for each analysis, kept for a second question that never comes."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.open_sessions: list[aiohttp.ClientSession] = []

    async def ask_model(self, prompt: str) -> str:
        self.open_sessions.append(aiohttp.ClientSession())  # the leak
        return await super().ask_model(prompt)


class UnemptiedTaskSet(Advisor):
    """Background tasks are remembered, as asyncio's documentation advises, and never forgotten."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.active_tasks: set[asyncio.Task[list[str]]] = set()

    async def ask_model(self, prompt: str) -> str:
        self.active_tasks.add(asyncio.create_task(self.highlights(prompt)))
        return await super().ask_model(prompt)

    async def highlights(self, prompt: str) -> list[str]:
        """Background work; the result lives as long as the finished task."""
        return prompt.split()  # the leak


class UnfinishedGroup(Advisor):
    """Follow-ups run in a task group of the whole app, and wait for an event that nobody sets."""

    async def __aenter__(self) -> UnfinishedGroup:
        self.follow_ups = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in asyncio.all_tasks():
            if task.get_name() == "follow-up":
                task.cancel()
        await self.follow_ups.__aexit__(kind, error, trace)

    async def ask_model(self, prompt: str) -> str:
        self.follow_ups.create_task(self.follow_up(prompt), name="follow-up")
        return await super().ask_model(prompt)

    async def follow_up(self, prompt: str) -> None:
        """Ask again when the applicant has answered."""
        answered = asyncio.Event()
        await answered.wait()  # the leak
        await super().ask_model(prompt)


class UnboundedCache(BoundedLRUCache):
    """A dictionary is a cache, too."""

    def __init__(self, maxsize: int = 1000, max_memory_mb: float = 100) -> None:
        super().__init__(maxsize, max_memory_mb)
        self.everything: dict[str, str] = {}

    def get(self, key: str) -> Any | None:
        text = self.everything.get(key)
        return None if text is None else json.loads(text)

    def put(self, key: str, value: Any) -> None:
        self.everything[key] = json.dumps(value)  # the leak


class UnflushedTelemetry(TelemetryBuffer):
    """Events are collected until somebody asks for them."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.pending: list[dict[str, Any]] = []

    async def track(self, name: str, **dimensions: Any) -> None:
        self.pending.append({"name": name, "trace": [f"{name} span {n}" for n in range(20)]})  # the leak


class Session:
    """One applicant's session; it and its draft know each other."""

    def __init__(self, resume: str) -> None:
        self.draft = Draft(self, resume.split())  # the leak
        self.finalizer = weakref.finalize(self, self.close)

    def close(self) -> None:
        """As a bound method, keeps the session alive whose end it waits for."""
        self.draft.words.clear()


class Draft:
    """What an applicant has written so far."""

    def __init__(self, session: Session, words: list[str]) -> None:
        self.session = session
        self.words = words


class FinalizedCycle(Advisor):
    """A circular reference is collected, but not when its finalizer holds on to it."""

    async def ask_model(self, prompt: str) -> str:
        return f"{len(Session(prompt).draft.words)} words. " + await super().ask_model(prompt)


REGISTRY: dict[int, list[str]] = {}


class GlobalRegistry(Advisor):
    """Every analysis registers itself in the module."""

    async def ask_model(self, prompt: str) -> str:
        REGISTRY[len(REGISTRY)] = prompt.split()  # the leak
        return await super().ask_model(prompt)


@functools.lru_cache(maxsize=None)
def words_of(text: str) -> frozenset[str]:
    """The words of a text, remembered for ever."""
    return frozenset(text.split())  # the leak


class UnboundedMemo(Advisor):
    """`lru_cache` without a limit on what users send."""

    def keywords(self, text: str) -> frozenset[str]:
        return words_of(text)


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection to the document store, with the buffer that it reads into."""

    buffer: bytearray


class ConnectionPool:
    """Lends connections, and opens one more when there is none."""

    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.free: list[Connection] = []

    def acquire(self) -> Connection:
        """A connection that is to be given back."""
        if not self.free:
            self.opened.append(Connection(bytearray(32_768)))  # the leak
            self.release(self.opened[-1])
        return self.free.pop()

    def release(self, connection: Connection) -> None:
        """Give a connection back."""
        self.free.append(connection)


class GrowingPool(Advisor):
    """Connections are taken from the pool and never given back."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.pool = ConnectionPool()

    async def ask_model(self, prompt: str) -> str:
        connection = self.pool.acquire()
        connection.buffer[: len(prompt)] = prompt.encode()
        return await super().ask_model(prompt)


current_request: contextvars.ContextVar[list[str]] = contextvars.ContextVar("current_request")


class PendingContext(Advisor):
    """A task copies the context it is made in, with the whole request, for as long as it waits."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.watchers: list[asyncio.Task[None]] = []

    async def ask_model(self, prompt: str) -> str:
        current_request.set(prompt.split())
        self.watchers.append(asyncio.create_task(self.watch_quota()))
        return await super().ask_model(prompt)

    async def watch_quota(self) -> None:
        """Wait until the model has room again."""
        await asyncio.Event().wait()  # the leak


class HoardingCheck(TelemetryBuffer):
    """The five-minute job keeps what it saw, to compare; no request is to blame."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: list[list[str]] = []

    async def track(self, name: str, **dimensions: Any) -> None:
        if name == "MemoryUsageCheck":
            self.seen.append([f"{n} {memory_metrics()}" for n in range(2_000)])  # the leak
        await super().track(name, **dimensions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A leaking service, and what the check must say of it.

    Args:
        parts: to make the service of.
        source: the class or function with the line that leaks.
        holder: how the growing collection is called in the report; empty where there is none, only things left open.
    """

    parts: Parts
    source: Any
    holder: str = ""


DEFECTS = {
    "httpx client per request": Defect(parts=Parts(advisor=UnclosedClient), source=UnclosedClient),
    "aiohttp session never closed": Defect(
        parts=Parts(advisor=UnclosedSession), source=UnclosedSession, holder="open_sessions"
    ),
    "task set never emptied": Defect(
        parts=Parts(advisor=UnemptiedTaskSet), source=UnemptiedTaskSet, holder="active_tasks"
    ),
    "unfinished TaskGroup tasks": Defect(parts=Parts(advisor=UnfinishedGroup), source=UnfinishedGroup),
    "unbounded cache": Defect(parts=Parts(cache=UnboundedCache), source=UnboundedCache, holder="everything"),
    "telemetry never flushed": Defect(
        parts=Parts(telemetry=UnflushedTelemetry), source=UnflushedTelemetry, holder="pending"
    ),
    "cycle with a finalizer": Defect(parts=Parts(advisor=FinalizedCycle), source=Session, holder="_registry"),
    "global registry": Defect(parts=Parts(advisor=GlobalRegistry), source=GlobalRegistry, holder="REGISTRY"),
    "lru_cache(maxsize=None)": Defect(parts=Parts(advisor=UnboundedMemo), source=words_of, holder="words_of"),
    "connection pool that grows": Defect(parts=Parts(advisor=GrowingPool), source=ConnectionPool, holder="opened"),
    "context of a pending task": Defect(parts=Parts(advisor=PendingContext), source=PendingContext, holder="watchers"),
    "five-minute job": Defect(parts=Parts(telemetry=HoardingCheck), source=HoardingCheck, holder="seen"),
}


def clean_up() -> None:
    """Free what a defect keeps beyond the life of its app."""
    REGISTRY.clear()
    words_of.cache_clear()
    for found in gc.get_objects():
        if isinstance(found, Session):
            found.finalizer.detach()
        elif isinstance(found, aiohttp.ClientSession):
            found.detach()  # it was never used: there is no connection to close
