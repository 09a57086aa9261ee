"""A cache bounded by its TTL is no leak, which only a clock that advances can tell.

Run with: pytest --memcheck
"""

import itertools

import pytest
from cachetools import TTLCache
from fastapi import FastAPI


def make_app() -> FastAPI:
    """An app that remembers each session for an hour."""
    app = FastAPI()
    sessions: TTLCache[int, bytes] = TTLCache(maxsize=10**9, ttl=3600)
    ids = itertools.count()

    @app.get("/login")
    async def login() -> dict[str, int]:
        session = next(ids)
        sessions[session] = b"x" * 60_000
        return {"session": session}

    return app


@pytest.fixture
def memleak_app():
    return make_app


@pytest.mark.memleak
async def test_sessions_expire(memleak_client):
    for _ in range(10):
        assert (await memleak_client.get("/login")).status_code == 200


@pytest.mark.memleak(simulate_time=False)
@pytest.mark.xfail(strict=True, reason="a day of requests in seconds of real time: no session ever expires")
async def test_without_simulated_time_it_looks_like_a_leak(memleak_client):
    for _ in range(10):
        assert (await memleak_client.get("/login")).status_code == 200
