"""A queue written in C that nobody reads.

holder: simple_queue.LOGS
"""

import queue

LOGS = queue.SimpleQueue()


def work():
    LOGS.put(bytes(500))  # LEAK
