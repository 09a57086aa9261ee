"""The tools side by side: what each is meant for, how it is used here, and one run of it in a fresh process."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.scenarios import Scenario, named

PROJECT = Path(__file__).parent.parent.parent
TIMEOUT_S = 300
_PATH = re.compile(r"/(?:[^\s/:]+/)+")
_MEMORY = frozenset({"memory", "native"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool.

    Args:
        name: how tables call it.
        distribution: what pip installs; None for a few lines around the standard library or psutil.
        meant_for: what its own documentation says.
        used_as: the settings here.
        covers: the kinds of scenario in its scope.
        module: ``benchmarks.rivals.<module>`` runs it.
        environment: variables that its documentation asks for.
    """

    name: str
    distribution: str | None
    meant_for: str
    used_as: str
    covers: frozenset[str]
    module: str
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def version(self) -> str | None:
        """The version installed; None when it is missing or needs no installation."""
        try:
            return metadata.version(self.distribution) if self.distribution else None
        except metadata.PackageNotFoundError:
            return None

    @property
    def runs_here(self) -> bool:
        """Whether it is installed."""
        return self.distribution is None or self.version is not None


TOOLS = (
    Tool(
        name="pytest-memleak",
        distribution="pytest-memleak",
        meant_for="growth and unclosed resources of ASGI apps and tests, against a budget",
        used_as="the defaults: --memcheck, standard profile, explaining on",
        covers=_MEMORY | {"client", "task", "thread", "fd", "child process"},
        module="plugins",
    ),
    Tool(
        name="pytest-memray",
        distribution="pytest-memray",
        meant_for="memory that a test allocates and does not free, by call site",
        used_as="limit_leaks of the budget x 240 measured iterations, 30 before them in a fixture",
        covers=_MEMORY,
        module="plugins",
    ),
    Tool(
        name="psleak",
        distribution="psleak",
        meant_for="memory and descriptors or threads left by functions of C extensions",
        used_as="PYTHONMALLOC=malloc, times=50, retries=5 (658 calls), tolerance = budget x times, no gcgarbage",
        covers=_MEMORY | {"thread", "fd"},
        module="measured",
        environment=(("PYTHONMALLOC", "malloc"), ("PYTHONUNBUFFERED", "1")),
    ),
    Tool(
        name="pyleak",
        distribution="pyleak",
        meant_for="asyncio tasks and threads left behind, blocked event loops",
        used_as="no_task_leaks and no_thread_leaks with daemons, action=raise, around 50 iterations after 30",
        covers=frozenset({"task", "thread"}),
        module="measured",
    ),
    Tool(
        name="tracemalloc",
        distribution=None,
        meant_for="Python allocations by line; the test around it is written by hand",
        used_as="traced bytes before and after 480 iterations, 30 before them, gc; over the budget is a leak",
        covers=frozenset({"memory"}),
        module="measured",
    ),
    Tool(
        name="first v. last RSS",
        distribution=None,
        meant_for="nothing in particular: what is often written by hand",
        used_as="RSS before and after 480 iterations, 30 before them, gc; over the budget is a leak",
        covers=_MEMORY,
        module="measured",
    ),
    Tool(
        name="Mann-Kendall on RSS",
        distribution="pymannkendall",
        meant_for="trends in any series",
        used_as="RSS after each of 480 iterations, 30 before them; p < 0.01 and Sen's slope over the budget is a leak",
        covers=_MEMORY,
        module="measured",
    ),
    Tool(
        name="Scalene",
        distribution="scalene",
        meant_for="profiling CPU and memory by line; it marks lines that probably leak",
        used_as="scalene run on a script of 480 iterations; any line marked as a leak",
        covers=_MEMORY,
        module="scalene_profile",
    ),
)

PLAIN = Tool(
    name="480 plain iterations",
    distribution=None,
    meant_for="nothing: what the requests alone cost",
    used_as="480 iterations, 30 before them",
    covers=frozenset(),
    module="measured",
)


def tool(name: str) -> Tool:
    """The tool of this name.

    Raises:
        StopIteration: when there is none.
    """
    return next(one for one in (PLAIN, *TOOLS) if one.name == name)


def in_scope(one: Tool, scenario: Scenario) -> bool:
    """Whether the tool says anything about such a scenario; every tool can be wrong about a clean app."""
    return scenario.expected == "clean" or scenario.kind in one.covers


def run(tool_name: str, scenario_name: str) -> dict[str, object]:
    """One verdict in a fresh process.

    Returns:
        ``outcome`` (clean, leak, inconclusive, error, timeout), ``seconds`` from start to exit of the process,
        ``cpu_s`` that it used with its children, and what else the tool said.
    """
    one, scenario = tool(tool_name), named(scenario_name)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **dict(one.environment), "PYTHONPATH": str(PROJECT), "MEMLEAK_CELL": folder}
        command = [sys.executable, "-m", f"benchmarks.rivals.{one.module}", one.name, scenario.name]
        began, used = time.monotonic(), _children_s()
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return {"outcome": "timeout", "seconds": float(TIMEOUT_S), "cpu_s": round(_children_s() - used, 3)}
        took = {"seconds": round(time.monotonic() - began, 3), "cpu_s": round(_children_s() - used, 3)}
        answer = Path(folder, "answer.json")
        if not answer.exists():
            return {"outcome": "error", **took, "said": _PATH.sub("", done.stderr or done.stdout)[-300:]}
        return {**took, **json.loads(answer.read_text())}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def say(outcome: str, said: str = "", **more: object) -> None:
    """Leave the answer of this process for the one that started it.

    Args:
        outcome: the verdict.
        said: what the tool printed; the folders of paths are left out.
        **more: what else is worth keeping.
    """
    answer = {"outcome": outcome, "said": _PATH.sub("", said)[-300:], **more}
    Path(os.environ["MEMLEAK_CELL"], "answer.json").write_text(json.dumps(answer))
