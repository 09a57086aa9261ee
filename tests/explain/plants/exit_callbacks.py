"""A function registered for the end of the process by every request.

holder: atexit callbacks
"""

import atexit


def work():
    payload = [1.0] * 50  # LEAK
    atexit.register(payload.clear)
