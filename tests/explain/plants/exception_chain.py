"""Each failure keeps the one before as its context.

holder: exception_chain.LAST
"""

LAST = None


def fail(previous):
    try:
        if previous is not None:
            raise previous
        raise ValueError("first")
    except ValueError:
        raise ValueError("again")  # LEAK


def work():
    global LAST
    try:
        fail(LAST)
    except ValueError as error:
        LAST = error.with_traceback(None)
