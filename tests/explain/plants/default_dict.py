"""Lists in a defaultdict: few keys, ever longer lists.

holder: default_dict.BY_USER[...]
"""

import collections
import itertools

BY_USER = collections.defaultdict(list)
numbers = itertools.count()


def work():
    number = next(numbers)
    BY_USER[f"secret-{number % 5}"].append([number, 0.5])  # LEAK
