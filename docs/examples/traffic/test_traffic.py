"""Traffic like production's, simulated for an hour."""

from pathlib import Path

import pytest
from app import app

from pytest_memleak import Request, recorded_traffic

MIX = [
    ("GET", "/users/{n}", 8),  # eight in twelve; each has a URL that no other request has
    Request("GET", "/export", hang_up_after=1),  # leaves after the first chunk
    Request("POST", "/upload", content=[b"x" * 65_536] * 10, slow_s=2),  # two simulated seconds a chunk
    Request("POST", "/cart", json={"user": "user-{n}"}, headers={"x-tenant": "t{n}"}, cookies={"id": "{n}"}),
    Request("WEBSOCKET", "/feed", messages=["hello {n}"], hang_up_after=1),  # vanishes without a close
]
RECORDED = recorded_traffic(Path(__file__).with_name("access.log"))  # or a .har file


@pytest.fixture
def memleak_app():
    return app


@pytest.mark.memleak(duration="1h")
async def test_mix(memleak):
    await memleak.send(MIX, count=12, concurrency=4)


@pytest.mark.memleak(duration="1h")
async def test_recorded(memleak):
    await memleak.send(RECORDED, count=30, new_clients=True)  # no cookies from one request to the next


@pytest.mark.memleak(duration="1h")
async def test_chat(memleak):
    async with memleak.websocket("/feed") as websocket:
        await websocket.send("hello")
        assert await websocket.receive() == "hello"
