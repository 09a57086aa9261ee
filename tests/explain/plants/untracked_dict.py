"""A dict of numbers: the garbage collector does not track it.

holder: untracked_dict.SEEN
"""

SEEN = {}


def work():
    number = len(SEEN) + 100_000  # LEAK
    SEEN[number] = number * 7  # LEAK
