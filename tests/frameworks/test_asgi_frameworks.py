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
        async with aconnect_ws(f"http://testserver/{{name}}", client) as socket:
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
    "sanic": (["healthy", "stream", "background", "injected", "leaky", "unclosed"], ["echo"]),
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
