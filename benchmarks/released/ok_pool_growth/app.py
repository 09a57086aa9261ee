"""Upstream connection pool that grows to its maximum and stays there."""

import asyncio

import httpx

STATE = {"n": 0}


async def startup():
    async def serve(reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(0)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    STATE["srv"] = await asyncio.start_server(serve, "127.0.0.1", 0)
    STATE["url"] = "http://127.0.0.1:%d/" % STATE["srv"].sockets[0].getsockname()[1]
    STATE["client"] = httpx.AsyncClient(
        limits=httpx.Limits(max_connections=20, max_keepalive_connections=20, keepalive_expiry=600)
    )


async def work():
    """Fan-out widens slowly with traffic, so the pool keeps opening connections until it has its 20."""
    STATE["n"] += 1
    width = min(22, 1 + STATE["n"] // 8)
    got = await asyncio.gather(*(STATE["client"].get(STATE["url"]) for _ in range(width)))
    assert all(r.status_code == 200 for r in got)


REQUEST = ("GET", "/fanout")


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    status, text = 200, "ok"
    try:
        await work()
    except Exception as exc:  # a broken case must not look like a clean one
        status, text = 599, repr(exc)
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})
