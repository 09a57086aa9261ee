"""Each dict refers to the one before: no collection grows.

holder: linked_dicts.NEWEST
"""

NEWEST = None


def work():
    global NEWEST
    NEWEST = {"previous": NEWEST, "data": bytes(600)}  # LEAK
