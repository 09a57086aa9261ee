"""Which operations an app has, and what traffic they get: the same in every run, valid, with values of their own."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import uuid

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Form, Header, WebSocket
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPBearer
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

from pytest_memleak import Request, ScanOperation
from pytest_memleak.drive.app import DriveError
from pytest_memleak.drive.generate import requests_for
from pytest_memleak.drive.iterate import Drive, NotMeasured
from pytest_memleak.drive.scan import ScanTraffic, find_operations


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Item(BaseModel):
    name: str
    colour: Colour
    stars: int = Field(ge=1, le=5)
    due: str = Field(json_schema_extra={"format": "date"})


class Size(BaseModel):
    width: int
    depth: float | None = None
    below: int = Field(lt=-5)
    sides: list[int] = []


async def nothing(*given, **named):
    return PlainTextResponse("")


def names(app):
    return [operation.name for operation in asyncio.run(find_operations(app))]


def test_routes_of_starlette():
    class Page(HTTPEndpoint):
        async def get(self, request): ...

        async def post(self, request): ...

    inner = [Route("/user/{name}", nothing), WebSocketRoute("/ws/{room}", nothing)]
    app = Starlette(
        routes=[
            Route("/items/{id:int}", nothing, methods=["GET", "PUT"]),
            Route("/page", Page),
            Mount("/in", routes=inner),
        ]
    )

    assert names(app) == [
        "GET /items/{id:int}",
        "PUT /items/{id:int}",
        "GET /page",
        "POST /page",
        "GET /in/user/{name}",
        "WEBSOCKET /in/ws/{room}",
    ]


def test_documents_of_fastapi():
    mounted = FastAPI()
    mounted.get("/x/{id}")(nothing)
    router = APIRouter(prefix="/live")

    @router.websocket("/feed")
    async def feed(websocket: WebSocket): ...

    @router.get("/state")
    async def state(): ...

    app = FastAPI(openapi_url=None)  # as in production; the app can be asked all the same
    app.include_router(router, prefix="/api")
    app.mount("/sub", mounted)

    assert names(app) == ["GET /api/live/state", "WEBSOCKET /api/live/feed", "GET /sub/x/{id}"]


def test_document_behind_a_plain_asgi_app():
    document = {"openapi": "3.1.0", "info": {"title": "a", "version": "1"}, "paths": {"/a": {"get": {"responses": {}}}}}

    async def app(scope, receive, send):
        found = scope["path"] == "/schema/openapi.json"
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(document).encode() if found else b""})

    assert names(app) == ["GET /a"]


@pytest.fixture(scope="module")
def shop():
    app = FastAPI()

    @app.post("/users/{user_id}/{thing_id}/items")
    async def item(user_id: int, thing_id: uuid.UUID, item: Item, q: str, x_tenant: str = Header()): ...

    @app.post("/login")
    async def login(user: str = Form()): ...

    return app


def traffic(app, path, **given):
    (operation,) = [found for found in asyncio.run(find_operations(app)) if found.path == path]
    operation.app = app
    for name, value in given.items():
        setattr(operation, name, value)
    return requests_for(operation)


def test_generated_requests(shop):
    path = "/users/{user_id}/{thing_id}/items"
    requests = traffic(shop, path)

    assert requests == traffic(shop, path)  # the same in every run
    assert len(requests) == 10
    assert [request.hang_up_after for request in requests] == [100] * 9 + [1]
    usual, unique = requests[0], requests[1]
    assert "{n" not in usual.path
    assert unique.path == "/users/{n}/00000000-0000-4000-8000-{n:12}/items?q=memleak-{n}"
    assert unique.headers["x-tenant"] == "memleak-{n}"
    body = json.loads(unique.content)
    assert body["name"] == "memleak-{n}"
    # What the document restricts is left as it was generated.
    assert body["colour"] in ("red", "green")
    assert 1 <= body["stars"] <= 5
    assert "{n}" not in body["due"]


def test_values_that_the_hook_gives(shop):
    requests = traffic(
        shop,
        "/users/{user_id}/{thing_id}/items",
        parameters={"user_id": 7, "q": "fixed"},
        headers={"authorization": "Bearer secret"},
        cookies={"session": "abc"},
        json={"name": "x"},
    )

    for request in requests:
        assert request.path.startswith("/users/7/")
        assert request.path.endswith("q=fixed")
        assert request.headers["authorization"] == "Bearer secret"
        assert request.cookies == {"session": "abc"}
        assert json.loads(request.content) == {"name": "x"}


def test_form(shop):
    request = traffic(shop, "/login")[1]

    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.content == b"user=memleak-{n}"


def test_values_of_a_route():
    operation = ScanOperation("GET", "/{kind}/{id:int}/{key:uuid}", parameters={"kind": "cats"})

    usual, unique = [request.path for request in requests_for(operation)][:2]

    assert usual == "/cats/1/00000000-0000-4000-8000-000000000001"
    assert unique == "/cats/{n}/00000000-0000-4000-8000-{n:12}"


def test_document_that_describes_no_request(shop):
    document = {"openapi": "3.1.0", "info": {}, "paths": {"/a": {"get": {"parameters": [{"$ref": "#/nowhere"}]}}}}

    with pytest.raises(DriveError, match=r"no request could be made from the OpenAPI document: .*memleak_scan_exclude"):
        requests_for(ScanOperation("GET", "/a", document=document))


def test_parameters_of_a_route_that_are_not_in_its_path_are_query():
    operation = ScanOperation("GET", "/items/{id:int}", parameters={"id": 7, "q": "a b", "page": "{n}"})

    assert {request.path for request in requests_for(operation)} == {"/items/7?q=a+b&page={n}"}


def test_header_given_in_another_case_replaces_the_generated_one():
    app = FastAPI()

    @app.get("/private", dependencies=[Depends(HTTPBearer()), Depends(APIKeyHeader(name="X-Key"))])
    async def private(): ...

    requests = traffic(app, "/private", headers={"authorization": "Bearer secret", "x-key": "1234"})

    for request in requests:
        sent = httpx.Request("GET", "http://a", headers=request.headers).headers
        assert sent.get_list("authorization") == ["Bearer secret"]
        assert sent.get_list("x-key") == ["1234"]


def test_requests_of_the_users_own(shop):
    own = [Request("POST", "/login", content=[b"user=a"], slow_s=2, weight=3, headers={"X-A": "own"}), ("GET", "/")]

    requests = traffic(
        shop, "/login", requests=own, headers={"x-a": "all", "authorization": "secret"}, cookies={"id": "{n}"}
    )

    assert [(r.method, r.path, r.weight, r.slow_s, r.hang_up_after) for r in requests] == [
        ("POST", "/login", 3, 2, None),
        ("GET", "/", 1, 0.0, None),
    ]
    assert requests[0].headers == {"X-A": "own", "authorization": "secret"}
    assert requests[1].headers == {"x-a": "all", "authorization": "secret"}
    assert requests[1].cookies == {"id": "{n}"}


def test_concurrent_and_new_clients_of_an_operation():
    running, most, visits = 0, 0, []

    async def page(request):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        visits.append(request.cookies.get("seen"))
        response = PlainTextResponse("")
        response.set_cookie("seen", "yes")
        return response

    async def iterate(**given):
        operation = ScanOperation("GET", "/", **given)
        drive = Drive(Starlette(routes=[Route("/", page)]))
        await ScanTraffic(drive, operation, requests_for(operation), 6).iteration()
        await drive.stop()
        return most, visits[-6:]

    assert asyncio.run(iterate()) == (1, [None] + 5 * ["yes"])
    assert asyncio.run(iterate(concurrency=3, new_clients=True)) == (3, 6 * [None])


def test_values_are_those_of_a_usual_client():
    app = FastAPI()

    @app.post("/image/{width}x{height}")
    async def image(width: int, height: int, size: Size, zoom: float = 1.0): ...

    for request in traffic(app, "/image/{width}x{height}"):
        path = httpx.URL(f"http://a{request.path}")
        body = json.loads(request.content)
        sides = body.pop("sides", [])
        numbers = [*path.path.rpartition("/")[2].split("x"), path.params.get("zoom", 1), *body.values(), *sides]
        assert all(-1006 < float(number or 0) <= 1000 for number in numbers)
        assert set(body) <= {"width", "depth", "below"}  # nothing that the app did not ask for
        assert body["below"] < -5
        assert len(sides) <= 3


def test_numbers_are_unique_where_they_name_something():
    app = FastAPI()

    @app.get("/users/{user}/orders")
    async def orders(user: int, order_id: int, limit: int, color: str): ...

    # A limit that grows with every request would make a healthy app grow.
    usual, unique = traffic(app, "/users/{user}/orders")[:2]
    assert unique.path == "/users/{n}/orders?color=memleak-{n}&limit=0&order_id={n}"
    assert "{n}" not in usual.path


def test_parts_of_a_whole_stay_open():
    one, two = (
        {"type": "object", "required": [name], "properties": {name: {"type": "integer"}}} for name in ("a", "b")
    )
    body = {"content": {"application/json": {"schema": {"allOf": [one, two]}}}, "required": True}
    document = {"openapi": "3.1.0", "info": {"title": "a", "version": "1"}}
    document["paths"] = {"/a": {"post": {"requestBody": body, "responses": {}}}}

    assert {"a", "b"} <= set(json.loads(requests_for(ScanOperation("POST", "/a", document=document))[0].content))


def test_app_that_can_be_started_once_only():
    async def scan(app):
        drive = Drive(app)
        traffic = ScanTraffic(drive, ScanOperation("GET", "/"), [Request("GET", "/")], 10)
        try:
            for _ in range(3):
                await traffic.iteration()
        finally:
            await drive.stop()

    def app_that(fails_at):
        pools = ["the only one"]

        @contextlib.asynccontextmanager
        async def lifespan(app):
            if fails_at == "startup":
                pools.pop()
            yield
            pools.clear()

        async def page(request):
            return PlainTextResponse(pools[0] if fails_at == "request" else "")

        return Starlette(routes=[Route("/", page)], lifespan=lifespan)

    at_request, at_startup = app_that("request"), app_that("startup")
    asyncio.run(scan(at_request))
    with pytest.raises(NotMeasured, match=r"hook .*; it ran before in this process: .* add --memcheck-isolate\. The"):
        asyncio.run(scan(at_request))
    asyncio.run(scan(at_startup))
    with pytest.raises(DriveError, match=r"startup failed: .*; it ran before in this process: .* --memcheck-isolate"):
        asyncio.run(scan(at_startup))


def test_what_the_app_said_is_one_short_line():
    async def app(scope, receive, send):
        if scope["type"] == "http":
            raise ValueError("several\n  lines\n" + "x" * 9_000)

    async def scan():
        drive = Drive(app)
        traffic = ScanTraffic(drive, ScanOperation("GET", "/"), [Request("GET", "/")], 10)
        _ = drive.app
        await drive.start()
        for _ in range(3):
            await traffic.iteration()

    with pytest.raises(NotMeasured) as raised:
        asyncio.run(scan())
    assert "The app said: ValueError: several lines xxx" in str(raised.value)
    assert len(str(raised.value)) < 600


def test_hosts_that_the_app_trusts():
    app = Starlette(
        routes=[Route("/", nothing)], middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["localhost"])]
    )

    async def scan(**given):
        drive = Drive(app)
        operation = ScanOperation("GET", "/", **given)
        traffic = ScanTraffic(drive, operation, requests_for(operation), 10)
        for _ in range(3):
            await traffic.iteration()
        await drive.stop()

    with pytest.raises(NotMeasured, match=r'set memleak_scan_headers = \["Host: localhost"\] in the configuration'):
        asyncio.run(scan())
    asyncio.run(scan(headers={"Host": "localhost"}))


def test_no_credentials_of_chance():
    app = FastAPI()

    @app.get("/page", dependencies=[Depends(HTTPBearer(auto_error=False)), Depends(APIKeyQuery(name="key"))])
    async def page(): ...

    for request in traffic(app, "/page"):
        assert request.path == "/page"
        assert "authorization" not in {name.lower() for name in request.headers}
