"""Right, wrong or inconclusive, per tool and scenario: `python -m benchmarks.verdicts`."""

from __future__ import annotations

import argparse
from collections import Counter

from benchmarks import rivals
from benchmarks.cells import Cells, Result
from benchmarks.rivals import TOOLS, Tool
from benchmarks.scenarios import ALL, Scenario
from benchmarks.table import Table

NAME = "verdicts"
FLAGSHIP = "pytest-memleak"
_WHY: dict[str, str] = {}
"""Of what was missed in the past, for as long as it is."""


def measure(runs: int, *, rival_runs: int | None = None, cells: Cells | None = None) -> None:
    """Run every tool on every scenario in its scope.

    Args:
        runs: of each cell of pytest-memleak.
        rival_runs: of each cell of the others; as many by default.
        cells: where results are kept.
    """
    cells = cells or Cells(NAME)
    for tool in sorted((tool for tool in TOOLS if tool.runs_here), key=lambda tool: tool.name != FLAGSHIP):
        keys = [(tool.name, scenario.name) for scenario in ALL if rivals.in_scope(tool, scenario)]
        cells.fill(keys, runs if tool.name == FLAGSHIP or rival_runs is None else rival_runs, rivals.run)


def score(scenario: Scenario, runs: list[Result]) -> Counter[str]:
    """How many runs were right, wrong, and without an answer."""
    words = {"clean": "wrong", "leak": "wrong", scenario.expected: "right"}
    return Counter(words.get(str(run["outcome"]), str(run["outcome"])) for run in runs)


def _cell(tool: Tool, scenario: Scenario, cells: Cells) -> str:
    if not tool.runs_here:
        return "not installed"
    if not rivals.in_scope(tool, scenario):
        return "n/a"
    return told(score(scenario, cells.of(tool.name, scenario.name)))


def told(counts: Counter[str]) -> str:
    """``9 right, 1 inconclusive``."""
    return ", ".join(f"{count} {word}" for word, count in counts.most_common()) or "not run"


def make_table(cells: Cells | None = None) -> Table:
    """The counts, as far as they were measured."""
    cells = cells or Cells(NAME)
    rows = [(scenario.name, scenario.expected, *(_cell(tool, scenario, cells) for tool in TOOLS)) for scenario in ALL]
    return Table(
        title="Verdicts",
        headers=("scenario", "true", *(tool.name for tool in TOOLS)),
        rows=[*rows, _total(cells, "clean"), _total(cells, "leak")],
        runs=run_counts(cells),
        dates=cells.dates(),
        module=NAME,
        notes=_targets(cells),
    )


def run_counts(cells: Cells) -> str:
    """How many runs a cell has, of pytest-memleak and of the others."""
    own, others = cells.run_counts(lambda key: key[0] == FLAGSHIP), cells.run_counts(lambda key: key[0] != FLAGSHIP)
    return f"{own} of {FLAGSHIP}, {others} of the other tools"


def _total(cells: Cells, expected: str) -> tuple[str, ...]:
    row = []
    for tool in TOOLS:
        counts = Counter[str]()
        for scenario in ALL:
            if scenario.expected == expected and rivals.in_scope(tool, scenario):
                counts += score(scenario, cells.of(tool.name, scenario.name))
        row.append(f"{counts['right']} of {counts.total()} right")
    return (f"all {expected}", expected, *row)


def _targets(cells: Cells) -> tuple[str, ...]:
    """Whether pytest-memleak met its own, with each cell in which it did not."""
    runs = {scenario: cells.of(FLAGSHIP, scenario.name) for scenario in ALL}
    false_alarms = [s for s, done in runs.items() if s.expected == "clean" and score(s, done)["wrong"]]
    missed = [s for s, done in runs.items() if s.expected == "leak" and score(s, done)["right"] < len(done)]
    unsure = [s for s, done in runs.items() if s.expected == "clean" and score(s, done)["right"] < len(done)]

    def names(found: list[Scenario]) -> str:
        return "; ".join(f"{s.name} ({_cell(TOOLS[0], s, cells)})" for s in found)

    def missed_because(found: list[Scenario]) -> str:
        reasons = "; ".join(f"{s.name}: {_WHY[s.name]}" for s in found if s.name in _WHY)
        return f"Missed: {names(found)}." + (f" Why: {reasons}." if reasons else "") if found else "Met."

    return (
        "Right is a leak that is found and a clean scenario that passes. Every tool is given the budget. Where the "
        "scope of a tool ends, it is n/a. The others know no simulated time: their jobs and TTLs stand almost still.",
        f"Target: pytest-memleak calls no clean scenario a leak. {missed_because(false_alarms)}",
        f"Target: it finds every leak of more than the budget and every unclosed resource. {missed_because(missed)}",
        f"Clean scenarios that it did not pass every time: {names(unsure) or 'none'}.",
        f"Where it found a leak of memory, its first line was the true one in {_lines(cells)[0]} runs. "
        f"No line, or another one, was named for: {_lines(cells)[1]}. What leaks once in 30 iterations or in an hour "
        "does not come back in the few iterations that explain a leak, which the report says.",
    )


def _lines(cells: Cells) -> tuple[str, str]:
    """How often the line named is the true one, of the scenarios that have one; and where it was not."""
    right, wrong, total = 0, Counter[str](), 0
    for scenario in ALL:
        if scenario.line and scenario.expected == "leak" and scenario.kind == "memory":
            found = [run for run in cells.of(FLAGSHIP, scenario.name) if run["outcome"] == "leak"]
            true = sum(run["line"] == run["true_line"] for run in found)
            right, total = right + true, total + len(found)
            if true < len(found):
                wrong[scenario.name] += len(found) - true
    return f"{right} of {total}", ", ".join(f"{name} ({count})" for name, count in wrong.items()) or "none"


def main() -> None:
    """Measure what is missing, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10, help="runs per cell of pytest-memleak (default 10)")
    parser.add_argument("--rival-runs", type=int, help="runs per cell of the other tools (default: as many)")
    chosen = parser.parse_args()
    measure(chosen.runs, rival_runs=chosen.rival_runs)
    make_table().show()


if __name__ == "__main__":
    main()
