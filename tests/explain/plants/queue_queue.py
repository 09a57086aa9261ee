"""A queue nobody reads.

holder: queue_queue.EVENTS
"""

import queue

EVENTS = queue.Queue()


def work():
    EVENTS.put({"kind": "click", "x": 1.5})  # LEAK
