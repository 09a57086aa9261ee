"""A set of ids that is never emptied.

holder: plain_set.Tracker.ids
"""

import itertools

numbers = itertools.count()


class Tracker:
    ids = set()


def work():
    Tracker.ids.add(f"order-{next(numbers):020}")  # LEAK
