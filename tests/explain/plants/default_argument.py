"""A mutable default argument.

holder: seen, default of default_argument.remember
"""


def remember(item, seen=[]):
    seen.append(item)
    return len(seen)


def work():
    remember([1.5, "item"])  # LEAK
