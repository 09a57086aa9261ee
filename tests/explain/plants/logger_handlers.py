"""A handler is added to a logger by every request.

holder: logger_handlers.log.handlers
"""

import logging

log = logging.getLogger("shop")


def work():
    log.addHandler(logging.NullHandler())  # LEAK
