"""A weak index over objects that a plain list keeps alive.

holder: weak_values.ALIVE
"""

import itertools
import weakref

INDEX = weakref.WeakValueDictionary()
ALIVE = []
numbers = itertools.count()


class Session:
    def __init__(self):
        self.data = bytes(200)  # LEAK


def work():
    session = Session()  # LEAK
    ALIVE.append(session)
    INDEX[next(numbers)] = session  # LEAK
