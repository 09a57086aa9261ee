"""What the service is for: how well a resume fits a job, and what is missing."""

from __future__ import annotations

import asyncio
import hashlib
import re
from types import TracebackType
from typing import Any, Self

import httpx

from resume_advisor.resources import ResourceManager
from resume_advisor.sessions import HTTPSessionManager
from resume_advisor.telemetry import TelemetryBuffer

Analysis = dict[str, Any]

_WORD = re.compile(r"[a-zA-Z][a-zA-Z+#]{2,}")


class Advisor:
    """Computes the keyword index, and has the language model write about the gap.

    Args:
        model: client of the language model.
        resources: keeps finished analyses, and the tasks of a batch.
        sessions: for job descriptions that are given as a URL.
        telemetry: is told of every analysis.
    """

    def __init__(
        self,
        model: httpx.AsyncClient,
        resources: ResourceManager,
        sessions: HTTPSessionManager,
        telemetry: TelemetryBuffer,
    ) -> None:
        self.model = model
        self.resources = resources
        self.sessions = sessions
        self.telemetry = telemetry

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing of its own to close."""

    async def analyze(self, resume: str, job: str) -> Analysis:
        """The share of the job's keywords that the resume has, those it lacks, and advice."""
        key = hashlib.sha256(f"{resume}\0{job}".encode()).hexdigest()
        analysis: Analysis | None = self.resources.get_cache_object(key)
        if analysis is None:
            wanted, offered = self.keywords(job), self.keywords(resume)
            missing = sorted(wanted - offered)
            advice = await self.ask_model(f"How can this resume gain {missing}?\n\n{resume}")
            index = round(100 * len(wanted & offered) / max(len(wanted), 1))
            analysis = {"index": index, "missing": missing, "advice": advice}
            self.resources.set_cache_object(key, analysis)
        await self.telemetry.track("Analysis", index=analysis["index"])
        return analysis

    async def analyze_batch(self, resumes: list[str], job: str) -> list[Analysis]:
        """Several resumes at the same time; when one fails, the others are not left running."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.analyze(resume, job)) for resume in resumes]
        return [task.result() for task in tasks]

    def keywords(self, text: str) -> frozenset[str]:
        """The distinct words of a text that are no mere glue."""
        return frozenset(word.lower() for word in _WORD.findall(text))

    async def ask_model(self, prompt: str) -> str:
        """The language model's answer."""
        response = await self.model.post("/v1/answer", json={"prompt": prompt})
        response.raise_for_status()
        return str(response.json()["answer"])

    async def fetch_job(self, url: str) -> str:
        """A job description from the web."""
        host = httpx.URL(url).netloc.decode()
        async with self.sessions.session(host) as session, session.get(url) as response:
            response.raise_for_status()
            return await response.text()
