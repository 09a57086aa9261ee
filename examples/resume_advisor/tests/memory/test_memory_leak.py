"""The runbook's leak check: a day of the service, in about a minute.

pytest tests/memory/test_memory_leak.py --memcheck
cat tests/memory/leak_report.txt
"""

import pytest

JOB = "Python FastAPI asyncio Kubernetes observability on call, memory profiling"


@pytest.mark.memleak(profile="full")
async def test_a_whole_day(memleak, resumes, job_board):
    """Ten requests a minute for 24 hours: single, batch, from the web, and what operators call."""
    mix = [
        ("POST", "/api/v1/analyze", 5, {"resume": next(resumes), "job": JOB}),
        ("POST", "/api/v1/analyze/batch", 1, {"resumes": [next(resumes), next(resumes)], "job": JOB}),
        ("POST", "/api/v1/analyze", 1, {"resume": next(resumes), "job_url": job_board}),
        ("GET", "/health", 1),
        ("GET", "/metrics", 1),
        ("GET", "/api/v1/memory/stats", 1),
    ]

    responses = await memleak.send(mix, count=10, concurrency=10)

    assert {response.status_code for response in responses} == {200}
