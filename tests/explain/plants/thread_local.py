"""A list in a thread local.

holder: thread_local.STATE.history
"""

import threading

STATE = threading.local()
STATE.history = []


def work():
    STATE.history.append(["entry", len(STATE.history)])  # LEAK
