"""Exceptions kept with their tracebacks, and so with the locals of their frames.

holder: exceptions_kept.ERRORS
"""

ERRORS = []


def parse(text):
    rows = [text] * 100  # LEAK
    return int(rows[0])


def work():
    try:
        parse("no number")
    except ValueError as error:
        ERRORS.append(error)
