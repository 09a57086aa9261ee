"""A FastAPI app with one operation for each thing that a scan must get right."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest

APP = """
import uuid
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

app = FastAPI()
by_user = {}
left = []


class Order(BaseModel):
    name: str
    count: int
    price: float = 1.0


def get_user(authorization: Annotated[str, Header()] = ""):
    if authorization != "Bearer secret":
        raise HTTPException(401, "who are you?")


@app.get("/health")
async def health():
    return {}


@app.get("/users/{user_id}")
async def user(user_id: int):
    # A cache by user: with one and the same user nobody sees that it grows.
    by_user[user_id] = bytearray(200_000)
    return {}


@app.post("/orders")
async def order(order: Order):
    return order


@app.get("/private", dependencies=[Depends(get_user)])
async def private():
    return {}


@app.get("/things/{thing_id}")
async def thing(thing_id: uuid.UUID):
    raise HTTPException(404)


@app.get("/broken")
async def broken():
    raise RuntimeError("no database")


@app.get("/stream")
async def stream():
    async def chunks():
        while True:
            yield b"x"

    return StreamingResponse(chunks())


@app.websocket("/ws")
async def ws(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
"""

CONFIGURATION = """
[tool.pytest]
asyncio_default_fixture_loop_scope = "function"
memleak_duration = "1h"  # 60 iterations, the fewest that are judged
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project without tests, with the app above."""
    pytester.makepyfile(shop=APP)
    pytester.path.joinpath("pyproject.toml").write_text(CONFIGURATION, encoding="utf-8")
    return pytester


@pytest.fixture
def scan(project: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Scan the app in a process of its own, with a JUnit report."""

    def run(*args: str) -> pytest.RunResult:
        return project.runpytest_subprocess("--memcheck", "--memcheck-scan=shop:app", "--junitxml=junit.xml", *args)

    return run


@pytest.fixture
def verdicts(project: pytest.Pytester) -> Callable[[], dict[str, str]]:
    """The verdict of each item in the JUnit report of the last run."""

    def read() -> dict[str, str]:
        return {
            f"{case.get('classname')}::{case.get('name')}": item.get("value", "")
            for case in ElementTree.parse(project.path / "junit.xml").iter("testcase")
            for item in case.iter("property")
            if item.get("name") == "memleak.verdict"
        }

    return read
