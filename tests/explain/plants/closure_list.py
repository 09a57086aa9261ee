"""A list in a closure.

holder: hidden in closure_list.recorder.<locals>.record
"""


def recorder():
    hidden = []

    def record(size):
        hidden.append("x" * size)  # LEAK

    return record


record = recorder()


def work():
    record(300)
