"""An lru_cache on a method keeps every instance alive.

holder: functools.lru_cache of lru_method.Report.total (maxsize=None)
"""

import functools


class Report:
    def __init__(self):
        self.rows = [0.5] * 60  # LEAK

    @functools.cache
    def total(self):
        return sum(self.rows)


def work():
    Report().total()
