"""Anonymous memory maps that stay open.

holder: memory_maps.SEGMENTS
"""

import mmap

SEGMENTS = []


def work():
    segment = mmap.mmap(-1, 64 * 1024)  # LEAK
    segment.write(b"\x01" * len(segment))
    SEGMENTS.append(segment)
