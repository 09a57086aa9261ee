"""An lru_cache without a bound, one entry per request.

holder: functools.lru_cache of unbounded_lru.quote (maxsize=None)
"""

import functools
import itertools

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

numbers = itertools.count()


@functools.lru_cache(maxsize=None)
def quote(number):
    return f"{number:>400}"  # LEAK


async def price(request):
    return PlainTextResponse(quote(next(numbers)))


app = Starlette(routes=[Route("/", price)])
