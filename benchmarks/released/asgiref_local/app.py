"""Thread-sensitive state in a global asgiref Local."""

import threading

from asgiref.local import Local

STATE = Local()  # module-global, as frameworks keep it


def work():
    """One worker thread per request sets per-request state."""

    def body():
        STATE.user = "u"
        assert STATE.user == "u"

    t = threading.Thread(target=body)
    t.start()
    t.join()


REQUEST = ("GET", "/me")


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
