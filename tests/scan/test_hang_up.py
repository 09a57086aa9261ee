"""A leak that only clients cause who hang up: found, and named with its line and its holder."""

from __future__ import annotations

APP = """
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
unfinished = []


@app.get("/export")
async def export():
    async def rows():
        finished = False
        try:
            for _ in range(10):
                yield b"x" * 1000
            finished = True
        finally:
            if not finished:
                unfinished.append(bytearray(300_000))

    return StreamingResponse(rows())
"""

TEST = """
import pytest
from pytest_memleak import Request


@pytest.mark.memleak(duration="1h")
@pytest.mark.parametrize("hang_up_after", [None, 1])
async def test_export(memleak, hang_up_after):
    await memleak.send([Request("GET", "/export", hang_up_after=hang_up_after)], count=3)


@pytest.fixture
def memleak_app():
    return "shop:app"
"""


def test_hang_up_leak_has_a_line_and_a_holder(pytester):
    pytester.makepyfile(shop=APP)
    pytester.makepyfile(TEST)

    result = pytester.runpytest_subprocess("--memcheck")

    result.assert_outcomes(passed=1, failed=1)
    report = (pytester.path / "leak_report.txt").read_text(encoding="utf-8")
    assert "held by     shop.unfinished" in report
    assert "shop.py:18" in report
