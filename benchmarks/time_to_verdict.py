"""How long each tool takes to its verdict: `python -m benchmarks.time_to_verdict`.

The tools' times are those of the runs of `benchmarks.verdicts`. The plain row is 480 iterations of the same
scenarios without any tool.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from benchmarks import rivals, table, verdicts
from benchmarks.cells import Cells, Result
from benchmarks.rivals import PLAIN, TOOLS
from benchmarks.scenarios import ALL

NAME = "time_to_verdict"
TARGET_TOOL = verdicts.FLAGSHIP


def measure(runs: int, *, cells: Cells | None = None) -> None:
    """Time the plain iterations of each clean scenario; the tools' times come with their verdicts."""
    keys = [(PLAIN.name, scenario.name) for scenario in ALL if scenario.expected == "clean"]
    (cells or Cells(NAME)).fill(keys, runs, rivals.run)


def _middle(runs: Iterable[Result], what: str) -> float | None:
    values = [float(str(run[what])) for run in runs if run["outcome"] not in ("error", "timeout")]
    return statistics.median(values) if values else None


def _shown(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"


def make_table(cells: Cells | None = None, judged: Cells | None = None) -> table.Table:
    """The median CPU and wall time of a process, over clean and over leaking scenarios."""
    cells, judged = cells or Cells(NAME), judged or Cells(verdicts.NAME)
    rows = []
    for tool in (PLAIN, *TOOLS):
        source = cells if tool is PLAIN else judged
        row = [tool.name]
        for expected in ("clean", "leak"):
            chosen = [s for s in ALL if s.expected == expected and rivals.in_scope(tool, s)]
            runs = [run for scenario in chosen for run in source.of(tool.name, scenario.name)]
            right = [run for run in runs if run["outcome"] == expected or tool is PLAIN]
            row += [_shown(_middle(right, "cpu_s")), _shown(_middle(right, "seconds"))]
        rows.append(row)
    return table.Table(
        title="Time to verdict",
        headers=("tool", "clean, CPU", "clean, elapsed", "leak, CPU", "leak, elapsed"),
        rows=rows,
        runs=f"{cells.run_counts()} plain, {verdicts.run_counts(judged)}",
        dates=judged.dates(),
        module=NAME,
        notes=(
            "Medians over the scenarios of the verdicts that each tool got right, whole processes with their start; "
            "CPU time depends little on what else the machine does, elapsed time does.",
            *_target(cells, judged),
        ),
    )


def _target(cells: Cells, judged: Cells) -> tuple[str, ...]:
    """Per clean scenario, the check against 480 plain iterations; neither with the start of its process."""
    ratios = {}
    for scenario in ALL:
        plain = _middle(cells.of(PLAIN.name, scenario.name), "checked_s")
        right = [run for run in judged.of(TARGET_TOOL, scenario.name) if run["outcome"] == scenario.expected]
        checked = _middle(right, "checked_s")
        if scenario.expected == "clean" and plain and checked:
            explained = ", explained" if right[0]["line"] else ""
            ratios[scenario.name] = (checked / plain, f"{right[0]['iterations']} iterations{explained}")
    if not ratios:
        return ()
    over = {name: found for name, found in ratios.items() if found[0] > 1}
    told = "; ".join(f"{name} {ratio:.1f} x after {done}" for name, (ratio, done) in over.items())
    middle = statistics.median(ratio for ratio, _ in ratios.values())
    return (
        "Target: pytest-memleak passes a clean scenario in at most the time of 480 plain iterations. "
        + (f"Missed in {len(over)} of {len(ratios)}" if over else "Met")
        + f", in the middle {middle:.2f} x of it"
        + (f": {told}." if told else ".")
        + " Compared is the elapsed time of the check, from its first iteration to its verdict and explanation, with"
        " that of the iterations. An iteration of these scenarios takes about a millisecond, so that what a check"
        " does once weighs more than on a real app. What grows within the budget, or did for a while, is explained"
        " although it passes.",
    )


if __name__ == "__main__":
    table.main(measure, make_table)
