"""Bounded cachetools.LRUCache that fills slowly."""

from cachetools import LRUCache

CACHE = LRUCache(maxsize=2000)
SEQ = [0]


def work():
    """A bounded LRU that takes 2000 requests to fill, then evicts."""
    SEQ[0] += 1
    key = "user:%d" % SEQ[0]
    if key not in CACHE:
        CACHE[key] = {"id": SEQ[0], "bio": "b%d-" % SEQ[0] + "x" * 700}


REQUEST = ("GET", "/user")


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    status, text = 200, "ok"
    try:
        work()
    except Exception as exc:  # a broken case must not look like a clean one
        status, text = 599, repr(exc)
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})
