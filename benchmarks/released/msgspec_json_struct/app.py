"""JSON body decoded into a msgspec.Struct."""

import msgspec


class Item(msgspec.Struct):
    sku: str
    qty: int


DEC = msgspec.json.Decoder(Item)
RAW = msgspec.json.encode({"sku": "A-" + "x" * 60, "qty": 7})


def work():
    for _ in range(5):
        item = DEC.decode(RAW)
    assert item.qty == 7


REQUEST = ("GET", "/items")


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
