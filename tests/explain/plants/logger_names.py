"""A logger per user: loggers are never freed.

holder: logging.root.manager.loggerDict | logging.Logger.manager.loggerDict
"""

import itertools
import logging

numbers = itertools.count()


def work():
    logging.getLogger(f"user{next(numbers)}").debug("hello")  # LEAK
