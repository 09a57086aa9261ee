"""A C extension that forgets to drop a reference.

holder: -
"""

import leaky


def work():
    text = bytes(400)  # LEAK
    leaky.incref(text)
