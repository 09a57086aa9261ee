"""One stateless MCP tool call per request."""

import asyncio

from mcp.server.fastmcp import FastMCP

REQUEST = ("GET", "/call")

SERVER = FastMCP("calc", stateless_http=True, json_response=True)


@SERVER.tool()
def add(a: int, b: int) -> int:
    return a + b


INNER = SERVER.streamable_http_app()
BODY = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2}}}'
STATE = {}


async def startup():
    STATE["cm"] = SERVER.session_manager.run()
    await STATE["cm"].__aenter__()


async def app(scope, receive, send):
    """Front door: turns GET /call into the JSON-RPC POST that an MCP client sends."""
    if scope["type"] != "http":
        return
    inner = dict(
        scope,
        method="POST",
        path="/mcp",
        raw_path=b"/mcp",
        headers=[
            (b"host", b"localhost:8000"),
            (b"content-type", b"application/json"),
            (b"accept", b"application/json, text/event-stream"),
        ],
    )
    if getattr(INNER.router, "redirect_slashes", False):
        for route in INNER.routes:
            if getattr(route, "path", "") == "/mcp" and type(route).__name__ == "Mount":
                inner.update(path="/mcp/", raw_path=b"/mcp/")
    sent = []
    gone = asyncio.Event()

    async def body():
        if not sent:
            sent.append(1)
            return {"type": "http.request", "body": BODY, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    try:
        await asyncio.create_task(INNER(inner, body, send))
    finally:
        gone.set()
