"""Apps that do not leak, although most look for a while as if they did."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import importlib
import json
import logging
import re
import socket
from concurrent.futures import ThreadPoolExecutor

from cachetools import TTLCache

from benchmarks.scenarios.app import App, Request, Scenario, payload

_OK = b"{}"


def no_op() -> App:
    async def answer(request: Request) -> bytes:
        return _OK

    return App(answer)


def json_echo() -> App:
    async def answer(request: Request) -> bytes:
        return json.dumps(json.loads(request.body)).encode()

    return App(answer)


def lru_filling() -> App:
    """30 MB, full after 100 iterations."""
    page = functools.lru_cache(maxsize=1000)(lambda number: payload(30_000))

    async def answer(request: Request) -> bytes:
        page(request.number)
        return _OK

    return App(answer)


def lru_filling_late() -> App:
    """240 MB at more than the budget's rate, full after 600 iterations."""
    page = functools.lru_cache(maxsize=6000)(lambda number: payload(40_000))

    async def answer(request: Request) -> bytes:
        page(request.number)
        return _OK

    return App(answer)


def _ttl_cache(ttl_s: float) -> App:
    sessions: TTLCache[int, bytes] = TTLCache(maxsize=10**9, ttl=ttl_s)

    async def answer(request: Request) -> bytes:
        sessions[request.number] = payload(60_000)
        return _OK

    return App(answer)


def lazy_import() -> App:
    async def answer(request: Request) -> bytes:
        if request.number == 800:
            for name in ("numpy", "sqlalchemy", "xmlrpc.server"):
                importlib.import_module(name)
        return _OK

    return App(answer)


def library_caches() -> App:
    async def answer(request: Request) -> bytes:
        re.compile(f"order-{request.number}-[a-z]+(x|y)*")
        logging.getLogger(f"orders.{request.number % 1500}").debug("seen")
        return _OK

    return App(answer)


def thread_pool_growing() -> App:
    """Up to 16 threads: one more is wanted at once every 20 iterations."""
    pool = ThreadPoolExecutor(max_workers=16)
    data = bytes(100_000)

    async def answer(request: Request) -> bytes:
        loop = asyncio.get_running_loop()
        at_once = min(16, 1 + request.number // 200)
        await asyncio.gather(*(loop.run_in_executor(pool, hashlib.sha256, data) for _ in range(at_once)))
        return _OK

    return App(answer)


def bursty_payloads() -> App:
    async def answer(request: Request) -> bytes:
        return bytes(10_000_000) if request.number % 53 == 0 else _OK

    return App(answer)


def cyclic_garbage() -> App:
    async def answer(request: Request) -> bytes:
        node: dict[str, object] = {"data": payload(20_000)}
        node["self"] = node
        return _OK

    return App(answer)


def sawtooth_buffer() -> App:
    """60 MB, flushed every 150 iterations."""
    buffer: list[bytes] = []

    async def answer(request: Request) -> bytes:
        buffer.append(payload(40_000))
        if len(buffer) == 1500:
            buffer.clear()
        return _OK

    return App(answer)


def one_off_step() -> App:
    kept: list[bytes] = []

    async def answer(request: Request) -> bytes:
        if request.number == 2000:
            kept.append(payload(50_000_000))
        return _OK

    return App(answer)


def connection_pool() -> App:
    """20 connections with their buffers, one more every ten iterations."""
    pool: list[tuple[socket.socket, socket.socket, bytearray]] = []

    async def answer(request: Request) -> bytes:
        if request.number % 100 == 0 and len(pool) < 20:
            pool.append((*socket.socketpair(), bytearray(262_144)))
        return _OK

    return App(answer)


SCENARIOS = tuple(
    Scenario(name=name, build=build, expected="clean")
    for name, build in (
        ("no-op", no_op),
        ("JSON echo", json_echo),
        ("LRU filling", lru_filling),
        ("LRU that fills late", lru_filling_late),
        ("TTL cache of 5 min", functools.partial(_ttl_cache, 300)),
        ("TTL cache of 1 h", functools.partial(_ttl_cache, 3600)),
        ("lazy import in mid-run", lazy_import),
        ("re and logging caches", library_caches),
        ("thread pool growing", thread_pool_growing),
        ("bursty large payloads", bursty_payloads),
        ("cyclic garbage", cyclic_garbage),
        ("sawtooth buffer", sawtooth_buffer),
        ("one-off 50 MB step", one_off_step),
        ("connection pool to its maximum", connection_pool),
    )
)
