"""A middleware that remembers every client.

holder: middleware.app.middleware_stack.app.seen
"""

import itertools

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

numbers = itertools.count()


class RateLimit:
    def __init__(self, app):
        self.app = app
        self.seen = {}

    async def __call__(self, scope, receive, send):
        self.seen[f"10.0.0.{next(numbers)}"] = [0.0] * 20  # LEAK
        await self.app(scope, receive, send)


async def home(request):
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/", home)], middleware=[Middleware(RateLimit)])
