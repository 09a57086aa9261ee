"""A BytesIO that is written to and never read.

holder: bytes_stream.BUFFER
"""

import io

BUFFER = io.BytesIO()


def work():
    BUFFER.write(b"x" * 900)  # LEAK
