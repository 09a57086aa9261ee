"""The service does what it promises when memory is short, and leaves nothing behind. No leak check in here."""

from __future__ import annotations

import asyncio
import gc
import json
import logging

import httpx
import pytest
from resume_advisor.cache import BoundedLRUCache, size_bytes
from resume_advisor.config import Config
from resume_advisor.logs import JsonFormatter
from resume_advisor.main import create_app
from resume_advisor.memory import Level, memory_usage_mb
from resume_advisor.resources import ResourceManager
from resume_advisor.service import Parts
from resume_advisor.sessions import HTTPSessionManager
from resume_advisor.telemetry import TelemetryBuffer

ANALYSIS = {"resume": "Python and asyncio", "job": "Python, Kubernetes"}


class Usage:
    """How much memory the service is told that it uses, and what it did."""

    def __init__(self) -> None:
        self.used_mb = 300.0
        self.shutdowns = 0

    def shut_down(self) -> None:
        self.shutdowns += 1


@pytest.fixture
def usage() -> Usage:
    return Usage()


@pytest.fixture
def app(model, usage):
    config = Config(lightweight_monitoring=False)
    parts = Parts(usage_mb=lambda: usage.used_mb)
    return create_app(config, parts, model_transport=model, shut_down=usage.shut_down)


@pytest.fixture
async def client(app):
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


# --- what it is for


async def test_analysis_names_what_is_missing(client):
    analysis = (await client.post("/api/v1/analyze", json=ANALYSIS)).json()

    assert (analysis["index"], analysis["missing"]) == (50, ["kubernetes"])
    assert "in numbers" in analysis["advice"]


async def test_job_may_be_a_url(client, job_board):
    analysis = (await client.post("/api/v1/analyze", json={"resume": "Python", "job_url": job_board})).json()

    assert "kubernetes" in analysis["missing"]


async def test_batch_keeps_the_order(client):
    body = {"resumes": ["Python", "Kubernetes Python"], "job": "Python, Kubernetes"}

    assert [one["index"] for one in (await client.post("/api/v1/analyze/batch", json=body)).json()] == [50, 100]


# --- the memory endpoints


async def test_stats_gc_and_clear_cache(client):
    await client.post("/api/v1/analyze", json=ANALYSIS)
    stats = (await client.get("/api/v1/memory/stats")).json()
    assert stats["cache_entries"] == 1
    assert stats["resources"] == 1  # the client of the language model
    assert stats["memory_metrics"]["rss_mb"] > 10

    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert (await client.post("/api/v1/memory/gc")).json()["objects"] >= 1

    assert (await client.post("/api/v1/memory/clear-cache")).json() == {"entries": 1}
    assert (await client.get("/api/v1/memory/stats")).json()["cache_entries"] == 0


async def test_metrics(client):
    await client.get("/health")

    metrics = (await client.get("/metrics")).text

    assert 'advisor_requests_total{status="200"} 1.0' in metrics
    for name in ("process_resident_memory_bytes", "python_gc_collections_total", "advisor_memory_level"):
        assert f"\n{name}" in metrics


# --- the emergency levels

EVENTS = {
    Level.NORMAL: set(),
    Level.WARNING: {"system.high_memory"},
    Level.CRITICAL: {"system.memory_critical"},
    Level.EMERGENCY: {"system.memory_critical"},
}


@pytest.mark.parametrize(
    ("used_mb", "level", "analysis", "shutdowns"),
    [
        (1400, Level.NORMAL, 200, 0),
        (1600, Level.WARNING, 200, 0),
        (1850, Level.CRITICAL, 503, 0),
        (1950, Level.EMERGENCY, 503, 1),
    ],
)
async def test_levels(client, app, usage, caplog, used_mb, level, analysis, shutdowns):
    await client.post("/api/v1/analyze", json=ANALYSIS)
    usage.used_mb = used_mb

    health = await client.get("/api/v1/memory/health")

    service = app.state.service
    assert health.json()["status"] == level.name.lower()
    assert health.status_code == (503 if level >= Level.CRITICAL else 200)
    assert len(service.resources.cache) == (1 if level is Level.NORMAL else 0)
    assert (await client.post("/api/v1/analyze", json=ANALYSIS)).status_code == analysis
    assert (await client.get("/health")).status_code == 200
    assert usage.shutdowns == shutdowns
    events = {record.event for record in caplog.records if record.levelno >= logging.WARNING}
    assert events == EVENTS[level]


async def test_requests_are_served_again_when_memory_is_free(client, usage):
    usage.used_mb = 1850
    await client.get("/api/v1/memory/health")
    assert (await client.post("/api/v1/analyze", json=ANALYSIS)).headers["Retry-After"] == "30"

    usage.used_mb = 300

    assert (await client.post("/api/v1/analyze", json=ANALYSIS)).status_code == 200


def test_thresholds_come_from_the_environment():
    config = Config.from_environ({"MEMORY_WARNING_THRESHOLD": "700", "LIGHTWEIGHT_MONITORING": "false"})

    assert (config.warning_mb, config.critical_mb, config.limit_mb) == (700, 1800, 2048)
    assert not config.lightweight_monitoring


# --- the parts


async def test_shutdown_closes_everything(app, job_board):
    service = app.state.service
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.post("/api/v1/analyze", json={"resume": "Python", "job_url": job_board})
        model = service.advisor.model
        assert len(service.sessions) == 1

    assert model.is_closed
    assert len(service.sessions) == len(service.telemetry) == len(service.resources.cache) == 0
    stats = service.resources.get_stats()
    assert stats.resources == stats.active_tasks == 0


def test_cache_has_two_limits():
    cache = BoundedLRUCache(maxsize=3, max_memory_mb=0.01)
    for key in "abcd":
        cache.put(key, key)
    assert [cache.get(key) for key in "abcd"] == [None, "b", "c", "d"]

    cache.put("big", "x" * 9_000)
    assert cache.memory_bytes <= 0.01 * 2**20
    cache.put("too big", "x" * 20_000)
    assert cache.get("too big") is None
    assert size_bytes({"a": ["b"]}) > size_bytes({})


async def test_sessions_are_shared_capped_and_closed():
    sessions = HTTPSessionManager(max_sessions=2)
    async with sessions.session("a") as first, sessions.session("a") as again:
        assert first is again
        async with sessions.session("b"), sessions.session("c"):
            assert len(sessions) == 3  # all in use
    async with sessions.session("d"):
        assert first.closed
        assert len(sessions) == 2
        assert await sessions.close_idle() == 1
    await sessions.close_all()
    assert len(sessions) == 0


async def test_telemetry_survives_an_outage():
    sent: list[int] = []
    up = False

    async def export(events):
        if not up:
            raise OSError("no route")
        sent.append(len(events))

    telemetry = TelemetryBuffer(export, batch=2, most=3)
    for _ in range(5):
        await telemetry.track("Analysis")
    assert (len(telemetry), telemetry.dropped) == (3, 2)

    up = True
    await telemetry.flush()
    assert (sent, len(telemetry)) == ([3], 0)


async def test_managed_tasks_and_connections_end_with_their_block():
    resources = ResourceManager()
    async with resources.managed_task(asyncio.Event().wait()) as task:
        assert resources.get_stats().active_tasks == 1
    assert task.cancelled()
    async with resources.managed_connection(httpx.AsyncClient) as connection:
        assert resources.get_stats().resources == 1
    assert connection.is_closed
    assert await resources.force_garbage_collection() >= 0
    assert not gc.garbage


def test_logs_are_json():
    record = logging.makeLogRecord(
        {"msg": "%s", "args": ("short",), "event": "system.high_memory", "context": {"a": 1}}
    )

    line = json.loads(JsonFormatter().format(record))

    assert (line["message"], line["event"], line["context"]) == ("short", "system.high_memory", {"a": 1})


def test_start_up_is_small(app):
    assert memory_usage_mb() < 500
