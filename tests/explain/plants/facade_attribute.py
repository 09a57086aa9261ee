"""A mapping that also keeps a log of who asked.

holder: facade_attribute.CACHE.asked
"""

from collections.abc import Mapping


class Cache(Mapping):
    def __init__(self):
        self.entries = {"price": 1}
        self.asked = []

    def __getitem__(self, key):
        self.asked.append(bytes(700))  # LEAK
        return self.entries[key]

    def __iter__(self):
        return iter(self.entries)

    def __len__(self):
        return len(self.entries)


CACHE = Cache()


def work():
    CACHE["price"]
