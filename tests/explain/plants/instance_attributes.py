"""Attributes set under ever new names.

holder: instance_attributes.registry.__dict__
"""

import itertools

numbers = itertools.count()


class Registry:
    pass


registry = Registry()


def work():
    setattr(registry, f"plugin_{next(numbers)}", ["p"])  # LEAK
