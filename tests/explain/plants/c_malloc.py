"""A C extension that forgets to free.

holder: -
"""

import leaky


def work():
    leaky.keep(3000)  # LEAK
