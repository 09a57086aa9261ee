"""The benchmarks that print a table of their own, kept as they printed it."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.cells import RESULTS
from benchmarks.rivals import PROJECT

NAMES = ("overhead", "attribution")
_TITLES = {"overhead": "Overhead", "attribution": "Attribution"}
_RUNS = {
    "overhead": "12 pairs of 240 iterations and 30 pairs of starts, medians",
    "attribution": "one per planted leak",
}
_NOTES = {
    "overhead": "A target is missed where its median is above it. An iteration pays for simulated time most of all; "
    "on a busy machine the range is wide.",
}


def measure(name: str) -> None:
    """Run one of them and keep what it prints.

    Args:
        name: of the module.
    """
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        raise RuntimeError(f"benchmarks.{name} printed nothing: {done.stderr[-300:]}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.txt").write_text(f"{time.strftime('%Y-%m-%d')}\n{done.stdout}")


def sections() -> list[str]:
    """What was kept, as sections of RESULTS.md; a table that was not made is named."""
    made = []
    for name in NAMES:
        file = RESULTS / f"{name}.txt"
        head = f"## {_TITLES[name]}\n\n`python -m benchmarks.{name}`; "
        if file.exists():
            date, _, text = file.read_text().partition("\n")
            note = f"\n- {_NOTES[name]}\n" if name in _NOTES else ""
            made.append(f"{head}runs: {_RUNS[name]}; measured {date}.\n\n```\n{text.rstrip()}\n```\n{note}")
        else:
            made.append(f"{head}not run.\n")
    return made
