"""A bytearray that grows in place.

holder: byte_array.Recorder.raw
"""


class Recorder:
    raw = bytearray()


def work():
    Recorder.raw.extend(b"\x00" * 700)  # LEAK
