"""A text that gets longer: a new object each time, under the same name.

holder: rebound_text.LOG
"""

LOG = ""


def work():
    global LOG
    LOG += "a request came in\n" * 20  # LEAK
