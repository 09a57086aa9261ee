"""A mutable default of a keyword-only parameter.

holder: cache, default of keyword_default.lookup
"""


def lookup(key, *, cache={}):
    cache[key] = bytes(200)  # LEAK
    return cache[key]


count = 0


def work():
    global count
    count += 1
    lookup(count)
