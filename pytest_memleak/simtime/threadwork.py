"""See work being given to threads: those of pools and anyio, and the app's own. Undone on leaving."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from .inflight import InFlight
from .work import Job, ThreadWork, Work

# Threads started by these run jobs that are seen on their own, or wait for something real.
_NOT_THE_APP = frozenset({"anyio", "asyncio", "concurrent", "multiprocessing", "pytest_memleak", "subprocess"})


class ThreadWatch:
    """Knows which work each thread of the app is doing, from entering to leaving.

    Threads that already ran before are not known: they may belong to the test runner, and keep real time.
    """

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._threads: weakref.WeakKeyDictionary[threading.Thread, ThreadWork] = weakref.WeakKeyDictionary()
        self._jobs: weakref.WeakKeyDictionary[Future[Any], Job] = weakref.WeakKeyDictionary()
        self._pools: weakref.WeakKeyDictionary[ThreadPoolExecutor, set[Job]] = weakref.WeakKeyDictionary()
        self._running: dict[int | None, Job] = {}  # by the ident of the thread
        self._undo = contextlib.ExitStack()
        self._active = False

    def start(self, *, on_loop: bool) -> None:
        """Begin to watch. anyio's workers only with a loop: without one nobody could wake their sleeps."""
        self._active = True
        self._replace(threading.Thread, "start", self._watch_start)
        self._replace(ThreadPoolExecutor, "submit", self._watch_submit)
        if on_loop and (backend := _anyio_backend()):
            self._replace(backend, "run_sync_in_worker_thread", self._watch_anyio)

    def stop(self) -> None:
        """Put back what `start` replaced."""
        self._active = False
        self._undo.close()

    def current(self) -> Work | None:
        """The work the calling thread does, None for a thread of somebody else."""
        return self._work_of(threading.current_thread())

    def job_of(self, future: Future[Any]) -> Job | None:
        """The job behind the future that a pool returned."""
        return self._jobs.get(future)

    def asks(self, answer: Future[Any] | None) -> None:
        """The calling thread gives the loop a coroutine; a job then waits for `answer`."""
        if job := self._running.get(threading.get_ident()):
            job.asked = answer

    def sleeps(self, awaited: object) -> bool:
        """Whether what some thread waits for, a thread or a pool's future, is asleep in simulated time."""
        work: Work | None = None
        if isinstance(awaited, Future):
            work = self._jobs.get(awaited)
        elif isinstance(awaited, threading.Thread):
            work = self._work_of(awaited)
        return work is not None and work.parked

    def _work_of(self, thread: threading.Thread) -> Work | None:
        return self._running.get(thread.ident) or self._threads.get(thread)

    def _replace(self, owner: type, name: str, watch: Callable[[Any], Any]) -> None:
        before = vars(owner)[name]
        plain = before.__func__ if isinstance(before, classmethod) else before
        watching = functools.wraps(plain)(watch(plain))
        after = classmethod(watching) if isinstance(before, classmethod) else watching
        setattr(owner, name, after)

        def restore() -> None:
            # If somebody wrapped it meanwhile (an error tracker), ours stays below and only passes through.
            if vars(owner)[name] is after:
                setattr(owner, name, before)

        self._undo.callback(restore)

    def _watch_start(self, start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
        def watching(thread: threading.Thread) -> None:
            if not self._active or _caller() in _NOT_THE_APP or isinstance(thread, threading.Timer):
                return start(thread)
            work = self._threads[thread] = ThreadWork(thread)
            self._in_flight.add(work)
            try:
                start(thread)
            except BaseException:
                self._in_flight.discard(work)
                raise

        return watching

    def _watch_submit(self, submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
        def watching(pool: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            # anyio gives its portals, whole event loops, to a pool.
            if not self._active or _caller() == "anyio":
                return submit(pool, fn, *args, **kwargs)
            running = self._pools.setdefault(pool, set())
            threads = getattr(pool, "_max_workers", 1)
            job = Job(fn, args, full=lambda: len(running) >= threads)
            self._in_flight.add(job)
            try:
                future = submit(pool, self._run_in_pool, running, job, fn, *args, **kwargs)
            except BaseException:
                self._in_flight.discard(job)
                raise
            self._jobs[future] = job
            future.add_done_callback(job.end)
            return future

        return watching

    def _watch_anyio(self, run_sync: Callable[..., Any]) -> Callable[..., Any]:
        async def watching(
            backend: type, func: Callable[..., Any], args: tuple[Any, ...], *rest: Any, **options: Any
        ) -> Any:
            if not self._active:
                return await run_sync(backend, func, args, *rest, **options)
            limiter = rest[1] if len(rest) > 1 else options.get("limiter")
            # Of the loop that runs: a portal's in another thread has one of its own.
            limiter = limiter or backend.current_default_thread_limiter()  # type: ignore[attr-defined]
            task = asyncio.current_task()
            job = Job(func, args, full=lambda: task not in limiter.statistics().borrowers)
            self._in_flight.add(job)
            try:
                return await run_sync(backend, self._run, (job, func, *args), *rest, **options)
            finally:
                self._in_flight.discard(job)

        return watching

    def _run_in_pool(
        self, running: set[Job], job: Job, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        running.add(job)
        try:
            return self._run(job, function, *args, **kwargs)
        finally:
            running.discard(job)

    def _run(self, job: Job, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """In the worker thread: its sleeps belong to this job."""
        thread = threading.get_ident()
        self._running[thread] = job
        job.start()
        if job.queued:
            self._in_flight.add(job)  # its patience begins now
        try:
            return function(*args, **kwargs)
        finally:
            del self._running[thread]


def _caller() -> str:
    """The package that called the function that asks."""
    return str(sys._getframe(2).f_globals.get("__name__", "")).partition(".")[0]


def _anyio_backend() -> type | None:
    """The class behind anyio.to_thread. anyio has no public name for it; without it, jobs are not seen."""
    try:
        from anyio._backends._asyncio import AsyncIOBackend
    except ImportError:
        return None
    return AsyncIOBackend if "run_sync_in_worker_thread" in vars(AsyncIOBackend) else None
