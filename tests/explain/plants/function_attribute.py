"""A cache in an attribute of a function.

holder: function_attribute.render.cache
"""

import itertools

numbers = itertools.count()


def render(number):
    render.cache[number] = "<p>" * 80 + str(number)  # LEAK
    return render.cache[number]


render.cache = {}


def work():
    render(next(numbers))
