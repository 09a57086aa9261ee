"""A list in a slot of an instance.

holder: slots_instance.pool.free
"""


class Pool:
    __slots__ = ("free",)

    def __init__(self):
        self.free = []


pool = Pool()


def work():
    pool.free.append(bytearray(300))  # LEAK
