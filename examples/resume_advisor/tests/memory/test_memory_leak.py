"""The runbook's leak check: a day of the service, in about a minute.

pytest tests/memory/test_memory_leak.py --memcheck
cat tests/memory/leak_report.txt
"""

import pytest
from resume_advisor.memory import memory_usage_mb

JOB = "Python FastAPI asyncio Kubernetes observability on call, memory profiling"


class HourlyTable:
    """The targets of the runbook, looked at once an hour.

    | metric      | normal    | warning | critical |
    |-------------|-----------|---------|----------|
    | base memory | 200-400MB | 800MB   | 1.5GB    |
    | peak memory | < 1GB     | 1.5GB   | 2GB      |
    | growth rate | < 10MB/h  | 50MB/h  | 100MB/h  |
    """

    def __init__(self) -> None:
        self.memory_mb: list[float] = []

    def look(self, iteration: int) -> None:
        """Take a measurement when an hour has begun."""
        if iteration % 60 == 0:
            self.memory_mb.append(memory_usage_mb())

    def rows(self) -> list[tuple[int, float, float, str]]:
        """Hour, memory, growth within the hour, and the worse level of the two."""
        rows = []
        for hour, now in enumerate(self.memory_mb):
            growth = now - self.memory_mb[hour - 1] if hour > 1 else 0.0  # the first hour fills the cache
            level = max(_level(now, 1000, 1500), _level(growth, 10, 50), key=LEVELS.index)
            rows.append((hour, now, growth, level))
        return rows


LEVELS = ("normal", "warning", "critical")


def _level(value: float, normal: float, warning: float) -> str:
    return LEVELS[(value >= normal) + (value >= warning)]


@pytest.fixture
def hourly():
    table = HourlyTable()
    yield table
    rows = table.rows()
    print(
        "hour   MB  growth  level", *(f"{h:4} {mb:5.0f} {more:6.1f}  {level}" for h, mb, more, level in rows), sep="\n"
    )
    assert {level for *_, level in rows} == {"normal"}
    assert table.memory_mb[0] < 500, "start-up"
    assert table.memory_mb[-1] - table.memory_mb[0] < 500, "growth in 24 hours"


@pytest.mark.memleak(profile="full", max_growth="500MB/24h", max_memory="1500MB")
async def test_a_whole_day(memleak, resumes, job_board, hourly):
    """Ten requests a minute for 24 hours: single, batch, from the web, and what operators call."""
    hourly.look(memleak.iteration)
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


@pytest.mark.memleak(duration="100min", max_growth="1kB/request", max_memory="1500MB")
async def test_stress(memleak, resumes):
    """10,000 requests, 100 at a time."""
    mix = [
        ("POST", "/api/v1/analyze", 1, {"resume": next(resumes), "job": JOB}),
        ("GET", "/health", 1),
    ]

    responses = await memleak.send(mix, count=100, concurrency=100)

    assert {response.status_code for response in responses} == {200}
