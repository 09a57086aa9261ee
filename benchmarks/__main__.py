"""Run the benchmarks and write RESULTS.md: `python -m benchmarks [--runs N] [--only NAME,...]`.

What was measured before is kept in `benchmarks/results`: an interrupted run goes on, and more runs are added.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from importlib import metadata
from os import cpu_count
from pathlib import Path

import psutil
from tabulate import tabulate

from benchmarks import (
    cases,
    detection_floor,
    flake_rate,
    load,
    printed,
    scale,
    slope_accuracy,
    time_to_verdict,
    verdicts,
)
from benchmarks.rivals import TOOLS

RESULTS = Path(__file__).parent / "RESULTS.md"
SCANNED = Path(__file__).parent / "scanned.md"
MODULES = (verdicts, time_to_verdict, detection_floor, slope_accuracy, scale, load, flake_rate, cases)
"""Each measures cells and makes a table of them; those in `printed` print theirs."""


def environment() -> str:
    """The tools, other versions, the machine."""
    tools = [
        (tool.name, (tool.version or "") if tool.runs_here else "not installed", tool.meant_for, tool.used_as)
        for tool in TOOLS
    ]
    libraries = [f"{name} {metadata.version(name)}" for name in ("pytest", "httpx", "starlette", "psutil", "memray")]
    machine = (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.release()} "
        f"on {platform.machine()}, {cpu_count()} CPUs that other work shared, "
        f"{psutil.virtual_memory().total / 1e9:.0f} GB of memory; with {', '.join(libraries)}."
    )
    table = tabulate(tools, headers=("tool", "version", "meant for", "used here"), tablefmt="github")
    return f"{machine}\n\n## The tools\n\n{table}\n"


def document(command: str) -> str:
    """RESULTS.md, from all that was measured so far."""
    sections = [module.make_table().as_markdown() for module in MODULES]
    head = (
        "# Results\n\n"
        f"Written by `{command}` from the single runs in `benchmarks/results`. Every cell is a process of its own, "
        "one after the other. A missed target is said below its table.\n"
    )
    scanned = SCANNED.read_text(encoding="utf-8")  # written by hand, with what was found out about each
    return "\n".join([head, environment(), *sections, *printed.sections(), scanned])


def main() -> None:
    """Measure what is missing, write RESULTS.md."""
    names = [*(module.NAME for module in MODULES), *printed.NAMES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--runs", type=int, default=10, help="runs per cell (default 10)")
    parser.add_argument("--only", default="", metavar="NAME,...", help=f"some of {', '.join(names)}")
    parser.add_argument("--no-runs", action="store_true", help="only write RESULTS.md from what was measured")
    chosen = parser.parse_args()
    only = chosen.only.split(",") if chosen.only else names
    if unknown := sorted(set(only) - set(names)):
        parser.error(f"no table is called {', '.join(unknown)}; there are {', '.join(names)}")
    if not chosen.no_runs:
        for module in MODULES:
            if module.NAME in only:
                module.measure(chosen.runs)
        for name in printed.NAMES:
            if name in only:
                printed.measure(name)
    RESULTS.write_text(document(shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])))
    print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
