"""The service under test: in this process, with a language model that answers at once."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from resume_advisor.config import Config
from resume_advisor.main import create_app

JOB = "Python FastAPI asyncio Kubernetes observability on call, memory profiling"


class LanguageModel(httpx.AsyncBaseTransport):
    """Answers every question at once, and as long as the real one does."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"answer": "Show what you did with it, in numbers. " * 25})


@pytest.fixture
def model() -> LanguageModel:
    """How the service reaches the language model."""
    return LanguageModel()


@pytest.fixture
def memleak_app(model):
    """The service as it is deployed."""
    return create_app(Config(), model_transport=model)


@pytest.fixture
def resumes() -> Iterator[str]:
    """A new resume each time, 4 kB, so that caches have something to remember."""
    return (f"Applicant {n}: Python, asyncio. " + f"project-{n} " * 350 for n in itertools.count())


@pytest.fixture(scope="session")
def job_board(tmp_path_factory) -> Iterator[str]:
    """A web site with one job description; its URL. A process of its own, as the real one is."""
    site = tmp_path_factory.mktemp("job_board")
    (site / "job.txt").write_text(JOB, encoding="utf-8")
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(site)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        started = server.stdout.readline()  # Serving HTTP on 127.0.0.1 port 40000 (http://127.0.0.1:40000/) ...
        yield re.search(r"http://[^/]+/", started)[0] + "job.txt"
        server.terminate()
