"""The HTTP interface."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from resume_advisor.memory import Level, memory_usage_mb
from resume_advisor.service import Service


def the_service(request: Request) -> Service:
    """The service of the app that serves this request."""
    service: Service = request.app.state.service
    return service


ServiceNow = Annotated[Service, Depends(the_service)]
router = APIRouter()
memory = APIRouter(prefix="/api/v1/memory", tags=["memory"])


class AnalysisRequest(BaseModel):
    """A resume, and the job as a text or a URL."""

    resume: str = Field(max_length=200_000)
    job: str = Field(default="", max_length=200_000)
    job_url: str | None = None


class BatchRequest(BaseModel):
    """Several resumes for one job."""

    resumes: list[str] = Field(min_length=1, max_length=50)
    job: str = Field(max_length=200_000)


@router.post("/api/v1/analyze")
async def analyze(body: AnalysisRequest, service: ServiceNow) -> dict[str, Any]:
    """How well one resume fits."""
    job = await service.advisor.fetch_job(body.job_url) if body.job_url else body.job
    return await service.advisor.analyze(body.resume, job)


@router.post("/api/v1/analyze/batch")
async def analyze_batch(body: BatchRequest, service: ServiceNow) -> list[dict[str, Any]]:
    """How well several resumes fit."""
    return await service.advisor.analyze_batch(body.resumes, body.job)


@router.get("/health")
async def health() -> dict[str, str]:
    """Whether the process answers at all, for the container's probe."""
    return {"status": "healthy"}


@router.get("/metrics")
async def metrics(service: ServiceNow) -> Response:
    """The metrics for Prometheus."""
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@memory.get("/stats")
async def stats(service: ServiceNow) -> dict[str, Any]:
    """What is open and kept now."""
    return {
        **asdict(service.resources.get_stats()),
        "http_sessions": len(service.sessions),
        "telemetry_events": len(service.telemetry),
    }


@memory.post("/gc")
async def collect(service: ServiceNow) -> dict[str, float]:
    """Collect garbage now."""
    before_mb = memory_usage_mb()
    objects = await service.resources.force_garbage_collection()
    return {"objects": objects, "memory_freed_mb": round(before_mb - memory_usage_mb(), 1)}


@memory.post("/clear-cache")
async def clear_cache(service: ServiceNow) -> dict[str, int]:
    """Forget all kept analyses."""
    entries = len(service.resources.cache)
    service.resources.clear_cache()
    return {"entries": entries}


@memory.get("/health")
async def memory_health(service: ServiceNow, response: Response) -> dict[str, Any]:
    """Whether there is memory enough; 503 from the critical level on."""
    level = await service.guard.check()
    if level >= Level.CRITICAL:
        response.status_code = 503
    used_mb, limit_mb = memory_usage_mb(), service.config.limit_mb
    return {
        "status": level.name.lower(),
        "memory": {
            "used_mb": round(used_mb, 1),
            "limit_mb": limit_mb,
            "usage_percent": round(100 * used_mb / limit_mb, 1),
        },
    }
