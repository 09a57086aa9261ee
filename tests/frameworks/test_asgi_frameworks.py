"""Each ASGI framework as it is used: a healthy endpoint passes, a leaking one is found with its line."""

from __future__ import annotations

import pytest

TESTS = """
import pytest

@pytest.mark.memleak
@pytest.mark.parametrize("name", {names!r})
async def test_http(memleak, name):
    responses = await memleak.send([("GET", f"/{{name}}")], count=3)
    assert {{response.status_code for response in responses}} == {{200}}
"""

SOCKETS = """
from httpx_ws import aconnect_ws
from httpx_ws.transport import ASGIWebSocketTransport
import httpx

@pytest.mark.memleak
@pytest.mark.parametrize("name", {names!r})
async def test_socket(memleak, name):
    transport = ASGIWebSocketTransport(memleak.app)
    async with httpx.AsyncClient(transport=transport) as client:
        async with aconnect_ws(f"ws://testserver/{{name}}", client) as socket:
            await socket.send_text("hello")
            assert await socket.receive_text() == "hello"
"""

HEALTHY = ("healthy", "stream", "background", "injected", "in_thread", "echo")
LEAKY = {
    "leaky": "# the leak",
    "leaky_background": "# the leak behind",
    "unclosed": "# the open client",
    "leaky_echo": "# the leak in the socket",
}
FRAMEWORKS = {
    "starlette": (
        ["healthy", "stream", "background", "injected", "leaky", "leaky_background", "unclosed"],
        ["echo", "leaky_echo"],
    ),
    "fastapi": (
        ["healthy", "stream", "background", "injected", "in_thread", "leaky", "leaky_background", "unclosed"],
        ["echo", "leaky_echo"],
    ),
    "litestar": (["healthy", "stream", "background", "injected", "leaky", "unclosed"], ["echo", "leaky_echo"]),
    "quart": (["healthy", "stream", "background", "injected", "leaky", "unclosed"], ["echo", "leaky_echo"]),
    "django": (["healthy", "stream", "in_thread", "leaky", "unclosed"], []),
    "falcon": (["healthy", "stream", "background", "injected", "leaky", "unclosed"], ["echo", "leaky_echo"]),
    "blacksheep": (["healthy", "stream", "injected", "leaky", "unclosed"], ["echo"]),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_framework(check_app, framework):
    pytest.importorskip(framework)
    pytest.importorskip("httpx_ws")
    requests, sockets = FRAMEWORKS[framework]

    tests = TESTS.format(names=requests) + (SOCKETS.format(names=sockets) if sockets else "")
    checked = check_app(framework, tests)

    found = {name.partition("[")[2][:-1]: said for name, said in checked.said.items()}
    assert {name: said["verdict"] for name, said in found.items()} == {
        name: "leak" if name in LEAKY else "passed" for name in (*requests, *sockets)
    }
    for name, said in found.items():
        assert int(said["requests"]) >= (60 if name in sockets else 180)
        if name in LEAKY:
            assert said["top_line"] == checked.line_of(LEAKY[name])


SANIC = """
import pytest

@pytest.mark.memleak
async def test_sanic(memleak):
    paths = {paths!r}
    responses = await memleak.send([("GET", f"/{{path}}") for path in paths], count=len(paths))
    assert {{response.status_code for response in responses}} == {{200}}
"""


@pytest.mark.parametrize(
    ("paths", "verdict", "comment"),
    [
        (["healthy", "stream", "background", "injected"], "passed", None),
        (["healthy", "stream", "background", "injected", "leaky"], "leak", "# the leak"),
    ],
)
def test_sanic_starts_one_app_in_a_process(check_app, paths, verdict, comment):
    pytest.importorskip("sanic")

    checked = check_app("sanic", SANIC.format(paths=paths))

    said = checked.said["test_sanic"]
    assert (said["verdict"], said["requests"]) == (verdict, str(60 * len(paths)))
    if comment:
        assert said["top_line"] == checked.line_of(comment)
