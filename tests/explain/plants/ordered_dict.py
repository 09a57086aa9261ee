"""An OrderedDict used as a cache that forgets to evict.

holder: ordered_dict.Pages.cache
"""

import collections
import itertools

numbers = itertools.count()


class Pages:
    cache = collections.OrderedDict()


def work():
    Pages.cache[next(numbers)] = "page" * 100  # LEAK
