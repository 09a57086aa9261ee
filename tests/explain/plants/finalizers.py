"""Finalizers of an object that lives for ever.

holder: weakref.finalize._registry
"""

import weakref


class Forever:
    pass


forever = Forever()


def work():
    weakref.finalize(forever, print, "bye" * 100)  # LEAK
