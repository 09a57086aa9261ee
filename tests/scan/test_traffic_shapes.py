"""Traffic like production's, through the app's own eyes: unique values, hang-ups, slow clients, websockets, replay."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, StreamingResponse

import pytest_memleak
from pytest_memleak import recorded_traffic
from pytest_memleak.api import Memleak
from pytest_memleak.drive.app import DriveError
from pytest_memleak.drive.iterate import Drive
from pytest_memleak.drive.recorded import counted_on
from pytest_memleak.simtime import SimulatedClock, SimulatedLoop


def driven(app, body):
    """Run `body(memleak)` on an app as an iteration of a plain run does."""

    async def run():
        drive = Drive(app)
        _ = drive.app
        await drive.start()
        try:
            return await body(Memleak(drive))
        finally:
            await drive.stop()

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(run())


@pytest.fixture
def seen():
    return []


@pytest.fixture
def echo(seen):
    """An app that keeps what it is asked."""

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        chunks, more = [], True
        while more:
            message = await receive()
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        query = scope["query_string"].decode()
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        seen.append((scope["path"], query, headers, [chunk for chunk in chunks if chunk]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


def test_every_request_has_a_number_of_its_own(echo, seen):
    mix = [
        pytest_memleak.Request(
            "POST",
            "/users/{n}?page={n}",
            json={"id": "user-{n:4}", "tags": ["{n}", 1]},
            headers={"x-tenant": "t{n}"},
            cookies={"visitor": "v{n}"},
        ),
        ("GET", "/{n}/plain"),
    ]

    async def body(memleak):
        for _ in range(2):  # the numbers count on over the iterations
            await memleak.send(mix, count=4, concurrency=2)

    driven(echo, body)

    assert [path for path, *_ in seen] == [
        "/users/1", "/2/plain", "/users/3", "/4/plain", "/users/5", "/6/plain", "/users/7", "/8/plain"
    ]  # fmt: skip
    _, query, headers, chunks = seen[2]
    assert query == "page=3"
    assert (headers["x-tenant"], headers["cookie"]) == ("t3", "visitor=v3")
    assert json.loads(b"".join(chunks)) == {"id": "user-0003", "tags": ["3", 1]}


def test_streamed_upload(echo, seen):
    request = pytest_memleak.Request("POST", "/upload", content=[b"one {n}", b"two", b"three"])

    driven(echo, lambda memleak: memleak.send([request], count=1))

    assert seen[0][3] == [b"one 1", b"two", b"three"]


def test_client_that_hangs_up_in_mid_response():
    events = []
    app = FastAPI()

    @app.get("/endless")
    async def endless():
        async def chunks():
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(1)
            finally:
                events.append("ended")

        return StreamingResponse(chunks())

    @app.get("/asks")
    async def asks(request: Request):
        async def chunks():
            while not await request.is_disconnected():
                yield b"x"
            events.append("disconnected")

        return StreamingResponse(chunks())

    async def body(memleak):
        mix = [pytest_memleak.Request("GET", path, hang_up_after=2) for path in ("/endless", "/asks")]
        responses = await memleak.send(mix, count=2)
        return [response.content for response in responses], memleak.app.failed_requests

    assert driven(app, body) == ([b"xx", b"xx"], 0)
    assert "ended" in events


def test_app_that_never_listens_is_stopped_in_the_end():
    async def deaf(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def body(memleak):
        await memleak.send([pytest_memleak.Request("GET", "/", hang_up_after=1)], count=3)
        return memleak.app.requests, memleak.app.failed_requests

    assert driven(deaf, body) == (3, 0)


def test_slow_client_takes_simulated_time(echo):
    async def body(memleak):
        async with SimulatedClock() as clock:
            began = time.monotonic()
            await memleak.send([pytest_memleak.Request("POST", "/", content=[b"1", b"2"], slow_s=600)], count=1)
            return clock.now, time.monotonic() - began

    # Each of the two chunks and the end of the body, and the response.
    assert driven(echo, body) == pytest.approx((2_400.0, 2_400.0))


@pytest.mark.parametrize(("new_clients", "visits"), [(False, [1, 2, 3]), (True, [1, 1, 1])])
def test_cookies(new_clients, visits):
    app = FastAPI()

    @app.get("/")
    async def visit(request: Request):
        count = int(request.cookies.get("visits", 0)) + 1
        response = JSONResponse(count)
        response.set_cookie("visits", str(count))
        return response

    async def body(memleak):
        return [r.json() for r in await memleak.send([("GET", "/")], count=3, new_clients=new_clients)]

    assert driven(app, body) == visits


def websocket_app(events):
    app = FastAPI()

    @app.websocket("/echo")
    async def echo(websocket: WebSocket):
        await websocket.accept()
        try:
            while True:
                await websocket.send_json({"got": await websocket.receive_text(), "q": websocket.url.query})
        except WebSocketDisconnect as gone:
            events.append(gone.code)

    @app.websocket("/refuses")
    async def refuses(websocket: WebSocket):
        await websocket.close(4001)

    @app.websocket("/breaks")
    async def breaks(websocket: WebSocket):
        await websocket.accept()
        raise RuntimeError("broken")

    @app.websocket("/clock")
    async def clock(websocket: WebSocket):
        # It never listens: only sending tells it that the client is gone.
        await websocket.accept()
        while True:
            await websocket.send_text("tick")
            await asyncio.sleep(1)

    return app


def test_websocket_exchange():
    events = []

    async def body(memleak):
        async with memleak.websocket("/echo?a=1") as websocket:
            await websocket.send("hello")
            assert await websocket.receive_json() == {"got": "hello", "q": "a=1"}
            await websocket.send_json([1])
            assert (await websocket.receive_json())["got"] == "[1]"
        async with memleak.websocket("/echo") as websocket:
            await websocket.vanish()
        with pytest.raises(pytest_memleak.drive.websocket.ConnectionClosed, match="refused the websocket with code"):
            async with memleak.websocket("/refuses"):
                pass
        async with memleak.websocket("/clock") as websocket:
            assert await websocket.receive() == "tick"
        return len(asyncio.all_tasks())

    assert driven(websocket_app(events), body) == 2  # this one and the lifespan's
    assert events == [1000, 1006]


def test_websockets_in_a_mix():
    events = []
    mix = [
        pytest_memleak.Request("WEBSOCKET", "/echo", messages=["{n}", b"bytes"]),
        pytest_memleak.Request("WEBSOCKET", "/echo", messages=["one"], hang_up_after=1),
        ("WEBSOCKET", "/refuses"),
        ("WEBSOCKET", "/breaks"),
        ("WEBSOCKET", "/clock"),
    ]

    async def body(memleak):
        statuses = [response.status_code for response in await memleak.send(mix, count=5)]
        return statuses, memleak.app.requests, memleak.app.failed_requests

    statuses, requests, failed = driven(websocket_app(events), body)
    assert statuses == [500, 101, 403, 500, 101]  # the first app wants text and gets bytes
    assert (requests, failed) == (5, 2)
    assert events == [1006]


LOG = """\
127.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "GET /a?x=1 HTTP/1.1" 200 2326
10.0.0.1 - frank [10/Oct/2026:13:55:37 +0000] "POST /b HTTP/2.0" 201 - "https://example.org/" "curl/8.0"
not a request at all
INFO:     127.0.0.1:50000 - "GET /users/{id} HTTP/1.1" 404 Not Found
127.0.0.1 - - [10/Oct/2026:13:55:38 +0000] "GET http://example.org/a?x=1 HTTP/1.1" 200 2326
"""


def test_replay_of_an_access_log(tmp_path, echo, seen):
    path = tmp_path / "access.log"
    path.write_text(LOG, encoding="utf-8")
    recorded = recorded_traffic(path)

    driven(echo, lambda memleak: memleak.send(recorded, count=8))

    assert [(path, query) for path, query, *_ in seen] == 2 * [
        ("/a", "x=1"), ("/b", ""), ("/users/{id}", ""), ("/a", "x=1")
    ]  # fmt: skip
    assert seen[1][2]["user-agent"] == "curl/8.0"
    assert len(recorded_traffic(path, limit=2)) == 2


def test_replay_of_a_har_file(tmp_path, echo, seen):
    def entry(method, url, **more):
        headers = [{"name": ":authority", "value": "x"}, {"name": "Host", "value": "x"}, {"name": "X-A", "value": "b"}]
        return {"request": {"method": method, "url": url, "headers": headers, **more}}

    path = tmp_path / "session.har"
    entries = [
        entry("GET", "https://shop.example/items?page=2"),
        entry("POST", "https://shop.example/orders", postData={"mimeType": "application/json", "text": '{"a": 1}'}),
        entry("GET", "https://ads.example/pixel"),
    ]
    path.write_text(json.dumps({"log": {"entries": entries}}), encoding="utf-8")

    driven(echo, lambda memleak: memleak.send(recorded_traffic(path), count=2))

    assert [(p, q, chunks) for p, q, _, chunks in seen] == [
        ("/items", "page=2", []),
        ("/orders", "", [b'{"a": 1}']),
    ]
    assert (seen[0][2]["x-a"], seen[0][2]["host"]) == ("b", "testserver")
    assert [request.path for request in recorded_traffic(path, host="ads.example")] == ["/pixel"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.log", "nothing\n", "holds no request: expected a HAR file"),
        ("broken.har", "{", "is not a HAR file"),
        ("other.har", "[]", "is not a HAR file"),
        (None, "", "cannot be read: No such file"),
    ],
)
def test_recording_that_cannot_be_used(tmp_path, name, text, message):
    if name:
        (tmp_path / name).write_text(text, encoding="utf-8")

    with pytest.raises(DriveError, match=message):
        recorded_traffic(tmp_path / (name or "nowhere.log"))


def test_request_that_cannot_be_sent():
    with pytest.raises(DriveError, match="has both json and content; a request has one body"):
        pytest_memleak.Request("POST", "/", json={}, content=b"")
    with pytest.raises(DriveError, match="hang_up_after=0 must be 1 chunk or more"):
        pytest_memleak.Request("GET", "/", hang_up_after=0)
    with pytest.raises(DriveError, match="must be a whole number of 1 or more, not 0"):
        pytest_memleak.Request("GET", "/", weight=0)


def test_a_route_is_replayed_with_the_numbers_counting_on(echo, seen):
    mix = [("GET", "/health/v2"), ("POST", "/orders/{n}?page=9", 1, {"id": "no. {n:3}", "total": 12})]

    async def body(memleak):
        async def step():
            await memleak.send(mix, count=2)

        replays = await memleak._drive.record_routes(step)
        seen.clear()
        for route in sorted(replays):
            for _ in range(2):
                await replays[route]()

    driven(echo, body)

    assert [(path, query) for path, query, _, _ in seen] == [
        ("/health/v2", ""),
        ("/health/v2", ""),
        ("/orders/5", "page=9"),
        ("/orders/6", "page=9"),
    ]
    assert [json.loads(b"".join(chunks)) for *_, chunks in seen[2:]] == [
        {"id": "no. 005", "total": 12},
        {"id": "no. 006", "total": 12},
    ]


def test_what_does_not_count_is_replayed_as_it_was():
    assert counted_on("/u/7/3f6a-09", "/u/9/b2c1-44", 5) == "/u/9/b2c1-44"
    assert counted_on("/day/9?page=3", "/day/8?page=3", 5) == "/day/8?page=3"
    assert counted_on(None, {"path": b"/9", "port": 80}, 5) == {"path": b"/9", "port": 80}
    assert counted_on([b"/9", b"x"], [b"/99", b"x"], 5) == [b"/104", b"x"]


def test_a_replay_says_the_length_that_its_body_has(echo, seen):
    async def body(memleak):
        async def step():
            await memleak.send([pytest_memleak.Request("PUT", "/", content="no. {n}")], count=1)

        replays = await memleak._drive.record_routes(step)
        for _ in range(8):
            await replays["PUT /"]()

    driven(echo, body)

    assert [(chunks, headers["content-length"]) for _, _, headers, chunks in seen[-2:]] == [
        ([b"no. 9"], "5"),
        ([b"no. 10"], "6"),
    ]
