"""A counting list of the app's beside the logger that holds the bytes.

holder: logging.root.filters
"""

import logging

COUNTS = []


def work():
    document = bytes(20_000)  # LEAK
    logging.root.addFilter(lambda record: bool(document))
    COUNTS.append(len(COUNTS))
