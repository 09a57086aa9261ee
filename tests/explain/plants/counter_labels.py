"""A metrics counter with a label that is never the same.

holder: counter_labels.metrics.counts
"""

import collections
import itertools

numbers = itertools.count()


class Metrics:
    def __init__(self):
        self.counts = collections.Counter()

    def count(self, label):
        self.counts[label] += 1


metrics = Metrics()


def work():
    metrics.count(f"GET /items/{next(numbers):09}")  # LEAK
