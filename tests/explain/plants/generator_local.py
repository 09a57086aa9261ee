"""A list in the local variables of a generator that never ends.

holder: seen, local of generator_local.collector
"""


def collector():
    seen = []
    while True:
        item = yield
        seen.append(item)  # LEAK


sink = collector()
next(sink)


def work():
    sink.send(bytes(300))  # LEAK
