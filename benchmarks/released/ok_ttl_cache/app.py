"""cachetools.TTLCache(ttl=300) keyed by a per-request id."""

import time

from cachetools import TTLCache

SEQ = [0]


def clock():
    """Looked up at call time, so that a test may advance time.monotonic."""
    return time.monotonic()


CACHE = TTLCache(maxsize=10**9, ttl=300, timer=clock)


def work():
    """A session cache with a 300 s lifetime; at a real-time pace it holds 300 s of traffic, no more."""
    SEQ[0] += 1
    CACHE["sess:%d" % SEQ[0]] = b"s" * 600


REQUEST = ("GET", "/login")
# grows for 300 s of CLOCK time: it plateaus only where the harness advances time.monotonic
ADVANCE_CLOCK = 0.5  # seconds of simulated time per request


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
