"""Everything that must be closed, in one place."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from resume_advisor.cache import BoundedLRUCache
from resume_advisor.memory import MemoryMetrics, memory_metrics

logger = logging.getLogger(__name__)

Connection = TypeVar("Connection")
Result = TypeVar("Result")
CleanUp = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStats:
    """What is open and kept now."""

    memory_metrics: MemoryMetrics
    resources: int
    active_tasks: int
    cache_entries: int
    cache_bytes: int


class ResourceManager:
    """Keeps connections, tasks and cached values, and cleans up after them.

    Args:
        cache: for `set_cache_object`.
        every_interval: the periodic clean-up; None for none.
        interval_s: seconds between two of them.
    """

    def __init__(
        self,
        cache: BoundedLRUCache | None = None,
        *,
        every_interval: Callable[[], Awaitable[object]] | None = None,
        interval_s: float = 300,
    ) -> None:
        self.cache = BoundedLRUCache() if cache is None else cache
        self._every_interval = every_interval
        self._interval_s = interval_s
        self._clean_ups: dict[str, CleanUp] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._job: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the periodic clean-up."""
        if self._every_interval is not None and self._job is None:
            self._job = asyncio.create_task(self._clean_up_job(), name="clean-up")

    async def shutdown(self) -> None:
        """Stop the periodic clean-up, cancel tasks, close resources, forget cached values."""
        if self._job is not None:
            await _cancel(self._job)
            self._job = None
        await self.cleanup_all_resources()
        self.clear_cache()

    async def register_resource(self, name: str, resource: object, cleanup_fn: CleanUp) -> None:
        """Have `cleanup_fn`, plain or async, called once: by `release`, or at the latest at shutdown."""
        if name in self._clean_ups:
            raise ValueError(f"a resource named {name!r} is registered already")
        self._clean_ups[name] = cleanup_fn

    async def release(self, name: str) -> None:
        """Clean up one registered resource; one that is gone already is fine."""
        if clean_up := self._clean_ups.pop(name, None):
            done = clean_up()
            if inspect.isawaitable(done):
                await done

    async def cleanup_all_resources(self) -> None:
        """Cancel all managed tasks and clean up all resources, the last registered first."""
        for task in [*self._tasks]:
            await _cancel(task)
        for name in [*reversed(self._clean_ups)]:
            try:
                await self.release(name)
            except Exception:  # the others are to be closed all the same
                logger.exception("a resource could not be closed", extra={"context": {"resource": name}})

    @contextlib.asynccontextmanager
    async def managed_connection(self, create: Callable[[], Connection]) -> AsyncIterator[Connection]:
        """A connection that is closed at the end of the block, or at shutdown if that comes first."""
        connection = create()
        name = f"{type(connection).__name__}-{id(connection):x}"
        close = getattr(connection, "aclose", None) or connection.close  # type: ignore[attr-defined]
        await self.register_resource(name, connection, close)
        try:
            yield connection
        finally:
            await self.release(name)

    @contextlib.asynccontextmanager
    async def managed_task(self, work: Coroutine[Any, Any, Result]) -> AsyncIterator[asyncio.Task[Result]]:
        """A task that does not outlive the block: what is not finished at its end is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        try:
            yield task
        finally:
            self._tasks.discard(task)
            if not task.done():
                await _cancel(task)

    def set_cache_object(self, key: str, value: Any) -> None:
        """Keep a value within the cache's limits."""
        self.cache.put(key, value)

    def get_cache_object(self, key: str) -> Any | None:
        """A kept value, or None."""
        return self.cache.get(key)

    def clear_cache(self) -> None:
        """Forget all kept values."""
        self.cache.clear()

    def get_stats(self) -> ResourceStats:
        """What is open and kept now."""
        return ResourceStats(
            memory_metrics=memory_metrics(),
            resources=len(self._clean_ups),
            active_tasks=len(self._tasks),
            cache_entries=len(self.cache),
            cache_bytes=self.cache.memory_bytes,
        )

    async def force_garbage_collection(self) -> int:
        """Collect all garbage now; how many objects that were."""
        return gc.collect()

    async def _clean_up_job(self) -> None:
        assert self._every_interval is not None
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._every_interval()
            except Exception:  # the next run may do better
                logger.exception("the periodic clean-up failed")


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])  # unlike `await task`, lets a cancellation of our own through
