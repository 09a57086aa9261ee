"""404s through an aiohttp web.Application with middlewares."""

from aiohttp import web
from aiohttp.test_utils import make_mocked_request


@web.middleware
async def audit(request, handler):
    return await handler(request)


async def index(request):
    return web.Response(text="hi")


SITE = web.Application(middlewares=[audit])
SITE.router.add_get("/", index)
SITE.freeze()


async def work():
    """A crawler asks an aiohttp site (mounted behind this app) for a page that is not there."""
    req = make_mocked_request("GET", "/missing", app=SITE)
    try:
        await SITE._handle(req)
    except web.HTTPNotFound:
        return
    raise AssertionError("found")


REQUEST = ("GET", "/missing")


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
