"""Malformed CBOR posted to an ingest endpoint."""

import cbor2

# indefinite map {1: {2: <text of 64 bytes that is not UTF-8>}} -- the decode fails deep inside
BAD = b"\xbf\x01\xa1\x02\x78\x40" + b"\xff" * 64 + b"\xff"


def work():
    for _ in range(4):
        try:
            cbor2.loads(BAD)
        except cbor2.CBORDecodeError:
            continue
        raise AssertionError("decoded")


REQUEST = ("GET", "/ingest")


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
