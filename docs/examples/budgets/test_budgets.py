"""One growth under four budgets: about 1 kB of every request stays."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

kept: list[bytes] = []


async def index(request: Request) -> PlainTextResponse:
    kept.append(bytes(1000))  # the leak
    return PlainTextResponse("ok")


@pytest.fixture
def memleak_app():
    return Starlette(routes=[Route("/", index)])


@pytest.mark.memleak(profile="quick")  # the default budget of 500 MB a day
async def test_as_sent(memleak):
    await memleak.send([("GET", "/")], count=10)  # 14,400 requests a day


@pytest.mark.memleak(profile="quick", traffic="2/s")  # 172,800 requests a day
async def test_small_production(memleak):
    await memleak.send([("GET", "/")], count=10)


@pytest.mark.memleak(profile="quick", traffic="50/s")  # 4,320,000 requests a day
@pytest.mark.xfail(strict=True, reason="above 500 MB a day")
async def test_large_production(memleak):
    await memleak.send([("GET", "/")], count=10)


@pytest.mark.memleak(profile="quick", max_growth="64B/request")  # whatever the traffic is
@pytest.mark.xfail(strict=True, reason="about 1 kB a request")
async def test_per_request(memleak):
    await memleak.send([("GET", "/")], count=10)
