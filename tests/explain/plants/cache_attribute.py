"""A cache without a bound, an attribute of a module's object.

holder: cache_attribute.cache.store
"""

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


class Cache:
    def __init__(self):
        self.store = {}


cache = Cache()
served = 0


async def profile(request):
    global served
    served += 1
    cache.store[f"user-{served}"] = bytes(700)  # LEAK
    return JSONResponse({"served": served})


app = Starlette(routes=[Route("/", profile)])
