"""ByteSize() on protobuf messages (upb)."""

from google.protobuf.source_context_pb2 import SourceContext
from google.protobuf.type_pb2 import Type

TEMPLATE = Type(name="t", source_context=SourceContext(file_name="a.proto"))


def work():
    """Metrics hook: message size of a long-lived message with an unset sub-message."""
    msg = Type()
    for _ in range(10):
        TEMPLATE.ByteSize()
        msg.source_context.ByteSize()


REQUEST = ("GET", "/size")


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
