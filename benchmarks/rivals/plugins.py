"""The two pytest plugins, each as its documentation shows: ``python -m benchmarks.rivals.plugins TOOL SCENARIO``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.rivals import say
from benchmarks.scenarios import Scenario, named

MEMRAY_ITERATIONS = 240

_MEMLEAK_TEST = """
import pytest
from benchmarks.scenarios import named

SCENARIO = named({name!r})


@pytest.fixture
def memleak_app():
    return SCENARIO.build()


@pytest.mark.memleak(**SCENARIO.marker)
async def test_scenario(memleak_client):
    await SCENARIO.step(memleak_client)
"""
_MEMRAY_TEST = """
import gc
import pytest
from benchmarks.rivals.serving import WARM_UP, repeat, served
from benchmarks.scenarios import named

SCENARIO = named({name!r})


@pytest.fixture
def step():
    with served(SCENARIO) as step:
        repeat(step, WARM_UP)
        yield step


@pytest.mark.limit_leaks("{limit} B")
def test_scenario(step):
    repeat(step, {iterations})
    gc.collect()
"""


def _pytest(test: str, plugin: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a test with this plugin and pytest-asyncio alone: what else is installed must not cost time."""
    Path("test_scenario.py").write_text(test)
    Path("pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    plugins = ["-p", "no:cacheprovider", "-p", "asyncio", "-p", plugin]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *options]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def memleak(scenario: Scenario) -> None:
    """A marked test under --memcheck."""
    done = _pytest(_MEMLEAK_TEST.format(name=scenario.name), "memleak", "--memcheck", "--memcheck-json=r.json")
    if not Path("r.json").exists():
        say("error", done.stdout + done.stderr)
        return
    test = json.loads(Path("r.json").read_text())["tests"][0]
    sensor = test["growth"]["sensor"]
    say(
        "clean" if test["verdict"] == "passed" else test["verdict"],
        said=test["message"],
        iterations=test["iterations"],
        sensor=sensor,
        **_rate("", test["growth"][sensor] if sensor else None),
        **_rate("live_", test["growth"]["live"]),
        line=test["top_line"] and Path(test["top_line"]).name,
        true_line=scenario.line,  # as it was in this run
        holder=test["top_holder"],
        checked_s=test["total_s"],
    )


def _rate(prefix: str, growth: dict[str, float] | None) -> dict[str, float | None]:
    """Bytes an iteration and the ends of their interval."""
    keys = ("bytes_per_iteration", "low_bytes_per_iteration", "high_bytes_per_iteration")
    shorter = ("bytes_per_iteration", "low", "high")
    return {prefix + short: growth and growth[key] for short, key in zip(shorter, keys, strict=True)}


def memray(scenario: Scenario) -> None:
    """A test with limit_leaks under --memray."""
    limit = round(scenario.budget_per_iteration * MEMRAY_ITERATIONS)
    test = _MEMRAY_TEST.format(name=scenario.name, limit=limit, iterations=MEMRAY_ITERATIONS)
    done = _pytest(test, "memray", "--memray")
    outcome = {0: "clean", 1: "leak" if "at least one location leaked more" in done.stdout else "error"}
    say(outcome.get(done.returncode, "error"))


if __name__ == "__main__":
    {"pytest-memleak": memleak, "pytest-memray": memray}[sys.argv[1]](named(sys.argv[2]))
