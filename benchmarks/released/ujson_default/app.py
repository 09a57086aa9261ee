"""JSON log line with a default= hook returning non-ASCII text."""

import ujson


class Doc:
    def __init__(self, n):
        self.n = n

    def __str__(self):
        return "\u6587\u66f8 %d " % self.n + "\u00e9" * 40


SEQ = [0]


def work():
    SEQ[0] += 1
    text = ujson.dumps({"hits": [Doc(SEQ[0]), Doc(-SEQ[0])]}, default=str)
    assert "hits" in text


REQUEST = ("GET", "/search")


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
