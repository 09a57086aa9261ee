"""The exact state of the small-block allocator, also where a process has used up its descriptors."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="sets the limit of a Unix process")
@pytest.mark.parametrize("left", [0, 1])
def test_without_a_descriptor_left_the_state_is_unknown(left: int) -> None:
    code = f"""
import os, resource
from pytest_memleak.sense.memory import small_blocks
assert small_blocks().used_bytes > 0
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
opened = []
try:
    while True:
        opened.append(os.dup(0))
except OSError:
    pass
for number in opened[:{left}]:
    os.close(number)
assert small_blocks() is None
"""
    subprocess.run([sys.executable, "-c", code], check=True)
