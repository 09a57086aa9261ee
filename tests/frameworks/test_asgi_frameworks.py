"""Each ASGI framework as it is used: a healthy endpoint passes, a leaking one is found with its line."""

from __future__ import annotations

import pytest

TESTS = """
import pytest

@pytest.mark.memleak
@pytest.mark.parametrize("names", [{healthy!r}, *([name] for name in {leaky!r})], ids="-".join)
async def test_http(memleak, names):
    responses = await memleak.send([("GET", f"/{{name}}") for name in names], count=len(names))
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

LINES = {
    "leaky": "# the leak",
    "leaky_background": "# the leak behind",
    "unclosed": "# the open client",
    "leaky_echo": "# the leak in the socket",
}
USUAL = ("healthy", "stream", "background", "injected")
FRAMEWORKS = {
    "starlette": (USUAL, ("leaky", "leaky_background", "unclosed"), ("echo", "leaky_echo")),
    "fastapi": ((*USUAL, "in_thread"), ("leaky", "leaky_background", "unclosed"), ("echo", "leaky_echo")),
    "litestar": (USUAL, ("leaky", "unclosed"), ("echo", "leaky_echo")),
    "quart": (USUAL, ("leaky", "unclosed"), ("echo", "leaky_echo")),
    "django": (("healthy", "stream", "in_thread"), ("leaky", "unclosed"), ()),
    "falcon": (USUAL, ("leaky", "unclosed"), ("echo", "leaky_echo")),
    "blacksheep": (("healthy", "stream", "injected"), ("leaky", "unclosed"), ("echo",)),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_framework(check_app, framework):
    pytest.importorskip(framework)
    pytest.importorskip("httpx_ws")
    healthy, leaky, sockets = FRAMEWORKS[framework]

    tests = TESTS.format(healthy=healthy, leaky=leaky) + (SOCKETS.format(names=sockets) if sockets else "")
    checked = check_app(framework, tests)

    said = {name.partition("[")[2].removesuffix("]"): said for name, said in checked.said.items()}
    assert {name: of["verdict"] for name, of in said.items()} == {
        name: "leak" if name in LINES else "passed" for name in ("-".join(healthy), *leaky, *sockets)
    }
    for name, of in said.items():
        assert of["requests"] == str(60 * len(name.split("-")))
        if name in LINES:
            assert of["top_line"] == checked.line_of(LINES[name])


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
