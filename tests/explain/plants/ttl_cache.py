"""A cache of a dependency whose bound is never reached.

holder: ttl_cache.SESSIONS
"""

import itertools

from cachetools import TTLCache

SESSIONS = TTLCache(maxsize=10**9, ttl=10**9)
numbers = itertools.count()


def work():
    SESSIONS[next(numbers)] = b"s" * (600 + next(numbers) % 2)  # LEAK
