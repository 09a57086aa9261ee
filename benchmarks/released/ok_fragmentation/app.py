"""Large variable-size payload churn with a bounded number alive."""

import random

RND = random.Random(7)
HELD = []


def work():
    """Variable-size payloads, a bounded window of which stays alive (retries, pipelining)."""
    for _ in range(6):
        HELD.append(bytearray(RND.choice((700, 3_000, 9_000, 40_000, 90_000, 250_000)) + RND.randrange(4096)))
    while len(HELD) > 120:
        HELD.pop(RND.randrange(len(HELD)))


REQUEST = ("GET", "/blob")


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
