"""A list put into a contextvar at start-up and shared by all requests.

holder: context_value.AUDIT.get()
"""

import contextvars

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

AUDIT = contextvars.ContextVar("audit")
AUDIT.set([])


async def touch(request):
    AUDIT.get().append(bytearray(256))  # LEAK
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/", touch)])
