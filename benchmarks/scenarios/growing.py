"""Apps whose memory grows for ever, each in a way of its own."""

from __future__ import annotations

import asyncio
import ctypes
import functools
from collections.abc import Callable
from contextvars import ContextVar

from starlette.requests import Request as StarletteRequest

from benchmarks.scenarios.app import BUDGET_PER_ITERATION, ITERATIONS_PER_DAY, App, Request, Scenario, payload
from benchmarks.scenarios.clean import no_op

_OK = b"{}"
_TWICE = round(2 * BUDGET_PER_ITERATION / 10)
"""Bytes a request that make twice the budget."""
_SLOTS = 20_000
"""Requests that a run of 1,440 iterations, its warm-up and its explanation send at most."""

_history: ContextVar[list[bytes]] = ContextVar("history", default=[])  # noqa: B039 - the leak is this default


def _history_of(size_bytes: int) -> App:
    history: list[bytes] = []

    async def answer(request: Request) -> bytes:
        history.append(b"x" * size_bytes)  # leaks
        return _OK

    return App(answer)


def staircase() -> App:
    """One step every 30 iterations."""
    stairs: list[bytes] = []

    async def answer(request: Request) -> bytes:
        if request.number % 300 == 0:
            stairs.append(b"x" * (300 * _TWICE))  # leaks
        return _OK

    return App(answer)


def _periodic(seconds: float) -> App:
    """A background job that keeps a report each time."""
    reports: list[bytes] = []
    size = round(2 * BUDGET_PER_ITERATION * seconds / 60)

    async def answer(request: Request) -> bytes:
        return _OK

    async def job() -> None:
        while True:
            await asyncio.sleep(seconds)
            reports.append(b"x" * size)  # leaks

    return App(answer, job)


def native() -> App:
    """Memory that C code takes and nobody frees; tracemalloc does not see it."""
    duplicate = ctypes.CDLL(None).strdup
    duplicate.restype = ctypes.c_void_p
    text = b"x" * _TWICE

    async def answer(request: Request) -> bytes:
        duplicate(text)  # leaks
        return _OK

    return App(answer)


def unique_urls() -> App:
    @functools.lru_cache(maxsize=None)  # noqa: UP033 - what many write
    def page(path: str) -> bytes:
        return b"x" * _TWICE  # leaks

    async def answer(request: Request) -> bytes:
        page(request.path)
        return _OK

    return App(answer)


def request_state() -> App:
    seen: list[StarletteRequest] = []

    async def answer(request: Request) -> bytes:
        current = StarletteRequest({"type": "http", "path": request.path, "headers": []})
        current.state.body = b"x" * _TWICE  # leaks
        seen.append(current)
        return _OK

    return App(answer)


def closure() -> App:
    callbacks: list[Callable[[], int]] = []

    async def answer(request: Request) -> bytes:
        body = b"x" * _TWICE  # leaks
        callbacks.append(lambda: len(body))
        return _OK

    return App(answer)


def context_variable() -> App:
    async def answer(request: Request) -> bytes:
        _history.get().append(b"x" * _TWICE)  # leaks
        return _OK

    return App(answer)


def listeners() -> App:
    class Listener:
        def __init__(self) -> None:
            self.buffer = b"x" * _TWICE  # leaks

        def on_event(self) -> None:
            """What an event would call."""

    subscribed: list[Callable[[], None]] = []

    async def answer(request: Request) -> bytes:
        subscribed.append(Listener().on_event)
        return _OK

    return App(answer)


def _exact(size_bytes: int) -> App:
    """Keeps this many bytes of allocator memory a request on average, in a list that has its size already."""
    slots: list[object] = [None] * _SLOTS
    every = max(1, 16 // size_bytes)  # nothing is smaller than 16 bytes: fewer a request come every so often

    async def answer(request: Request) -> bytes:
        if request.number % every == 0:
            slots[request.number % _SLOTS] = _object_of(size_bytes, request.number)
        return _OK

    return App(answer)


def _object_of(size_bytes: int, number: int) -> object:
    if size_bytes <= 16:
        return object()
    return float(number) if size_bytes <= 32 else payload(size_bytes)


def allocated_bytes(size_bytes: int) -> int:
    """What the allocator hands out for a bytes object of this size: multiples of 16, from glibc with a header."""
    if size_bytes < 16:
        return size_bytes
    return -(-(size_bytes if size_bytes <= 512 else size_bytes + 8) // 16) * 16


def exact(size_bytes: int, max_growth_per_request: float, *, leaking: bool = True) -> Scenario:
    """A leak whose size is known to the byte, or the same quiet app without it.

    Args:
        size_bytes: kept a request.
        max_growth_per_request: the budget in bytes a request.
        leaking: whether it leaks at all.
    """
    return Scenario(
        name=f"{'keeps' if leaking else 'quiet at'} {size_bytes} B under {max_growth_per_request:g} B",
        build=functools.partial(_exact, size_bytes) if leaking else no_op,
        expected="leak" if leaking else "clean",
        bytes_per_iteration=10 * allocated_bytes(size_bytes) if leaking else 0,
        max_growth_per_request=max_growth_per_request,
        holder="slots",
    )


def _scenario(name: str, build: Callable[[], App], holder: str | None = None, **more: object) -> Scenario:
    truth: dict[str, object] = {"expected": "leak", "bytes_per_iteration": 10 * _TWICE, "holder": holder}
    return Scenario(name=name, build=build, **{**truth, **more})  # type: ignore[arg-type]


def _share_of_budget(name: str, share: float, expected: str) -> Scenario:
    size = round(share * BUDGET_PER_ITERATION / 10)
    build = functools.partial(_history_of, size)
    return _scenario(name, build, "history", bytes_per_iteration=10 * size, expected=expected)


SCENARIOS = (
    _share_of_budget("half the budget", 0.5, "clean"),
    _share_of_budget("one and a half budgets", 1.5, "leak"),
    _share_of_budget("twice the budget", 2, "leak"),
    _scenario(
        "100 B a request at 100/s",
        functools.partial(_history_of, 96 - 33),  # with the header of a bytes object
        "history",
        bytes_per_iteration=10 * (96 + 8),
        traffic_per_s=100,
    ),
    _scenario(
        "1 KB a request at 100/s",
        functools.partial(_history_of, 1000),
        "history",
        bytes_per_iteration=10 * (allocated_bytes(1000 + 33) + 8),
        traffic_per_s=100,
    ),
    _scenario("staircase", staircase, "stairs"),
    _scenario("hourly job", functools.partial(_periodic, 3600), "reports"),
    _scenario("five-minute job", functools.partial(_periodic, 300), "reports"),
    _scenario("native", native, kind="native"),
    _scenario("per unique URL", unique_urls, "page", unique_urls=True),
    _scenario("request.state", request_state, "seen"),
    _scenario("closure", closure, "callbacks"),
    _scenario("context variable", context_variable, "history"),
    _scenario("listener list", listeners, "subscribed"),
)
assert ITERATIONS_PER_DAY * 10 < _SLOTS
