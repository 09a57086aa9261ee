"""Scalene on a script: ``python -m benchmarks.rivals.scalene_profile Scalene SCENARIO``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.rivals import PROJECT, say
from benchmarks.scenarios import Scenario, named

_SCRIPT = """
from benchmarks.rivals.serving import MEASURED, WARM_UP, repeat, served
from benchmarks.scenarios import named

with served(named({name!r})) as step:
    repeat(step, WARM_UP + MEASURED)
"""


def profile(scenario: Scenario) -> None:
    """Profile memory; a line that Scalene marks as a likely leak is a leak."""
    Path("script.py").write_text(_SCRIPT.format(name=scenario.name))
    options = ["run", "--memory", "--memory-leak-detector", "--program-path", str(PROJECT), "-o", "profile.json"]
    command = [sys.executable, "-m", "scalene", *options, "script.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not Path("profile.json").exists():
        say("error", done.stdout + done.stderr)
        return
    files = json.loads(Path("profile.json").read_text()).get("files", {})
    leaks = [f"{Path(name).name}:{line}" for name, file in files.items() for line in file.get("leaks", {})]
    say("leak" if leaks else "clean", said=", ".join(leaks))


if __name__ == "__main__":
    profile(named(sys.argv[2]))
