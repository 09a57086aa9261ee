"""A deque without maxlen.

holder: deque_history.history
"""

import collections

history = collections.deque()


def work():
    history.append((len(history), 1.5, "done"))  # LEAK
