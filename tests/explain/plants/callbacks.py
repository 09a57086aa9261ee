"""Callbacks that keep what they were made with, beside a list of short texts.

holder: callbacks.CALLBACKS
"""

CALLBACKS = []
AUDIT = []


def work():
    document = bytes(20_000)  # LEAK
    CALLBACKS.append(lambda: document)
    AUDIT.append(f"document {len(AUDIT)} came in")
