"""Which operations an app has, and what traffic they get: the same in every run, valid, with values of their own."""

from __future__ import annotations

import asyncio
import enum
import json
import uuid

import pytest
from fastapi import APIRouter, FastAPI, Form, Header, WebSocket
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

from pytest_memleak import ScanOperation
from pytest_memleak.drive.app import DriveError
from pytest_memleak.drive.generate import requests_for
from pytest_memleak.drive.scan import find_operations


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Item(BaseModel):
    name: str
    colour: Colour
    stars: int = Field(ge=1, le=5)
    due: str = Field(json_schema_extra={"format": "date"})


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
