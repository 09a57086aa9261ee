"""A class that is a mapping itself.

holder: user_dict.SETTINGS
"""

import collections
import itertools

numbers = itertools.count()


class Settings(collections.UserDict):
    pass


SETTINGS = Settings()


def work():
    SETTINGS[next(numbers)] = "s" * 150  # LEAK
