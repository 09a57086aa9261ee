"""A dict of documents among sixty buffers that gain a few bytes each.

holder: small_buffers.DOCUMENTS
"""

DOCUMENTS = {}
BUFFERS = [bytearray() for _ in range(60)]


def work():
    DOCUMENTS[len(DOCUMENTS)] = bytes(8_000)  # LEAK
    for buffer in BUFFERS:
        buffer.extend(b"abcd")
