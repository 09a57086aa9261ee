"""A log-in in a fixture: before anything is measured, by the client that the test uses."""

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

tokens: set[str] = set()


async def login(request: Request) -> JSONResponse:
    token = f"token-of-{(await request.json())['user']}"
    tokens.add(token)
    return JSONResponse({"token": token})


async def profile(request: Request) -> JSONResponse:
    token = request.headers["authorization"].removeprefix("Bearer ")
    return JSONResponse({}, status_code=200 if token in tokens else 401)


@pytest.fixture
def memleak_app():
    return Starlette(routes=[Route("/login", login, methods=["POST"]), Route("/profile", profile)])


# --8<-- [start:fixture]
@pytest_asyncio.fixture
async def logged_in(memleak_client):
    answer = await memleak_client.post("/login", json={"user": "ada"})
    memleak_client.headers["authorization"] = f"Bearer {answer.json()['token']}"
    return memleak_client


@pytest.mark.memleak(duration="1h")
async def test_profile(logged_in):
    assert (await logged_in.get("/profile")).status_code == 200


# --8<-- [end:fixture]
