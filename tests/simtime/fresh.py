"""Run code in a process of its own, where nothing else happens."""

import subprocess
import sys
import textwrap


def in_a_fresh_process(code):
    """Run `code`; a failing assertion there fails here with its traceback."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
