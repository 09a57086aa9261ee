"""The results of single runs, one JSON line each: a measurement that was interrupted goes on where it stopped."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
NEVER = "never"

Key = tuple[str, ...]
Result = dict[str, object]


class Cells:
    """The runs of one table.

    Args:
        name: of the table; the file is ``benchmarks/results/<name>.jsonl``.
        folder: another folder than that.
    """

    def __init__(self, name: str, folder: Path = RESULTS) -> None:
        self._path = folder / f"{name}.jsonl"
        self._name = name
        self._runs: defaultdict[Key, list[Result]] = defaultdict(list)
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                record = json.loads(line)
                self._runs[tuple(record["key"])].append(record["result"])

    def of(self, *key: str) -> list[Result]:
        """The runs of one cell so far."""
        return self._runs[key]

    def fill(self, keys: Sequence[Key], runs: int, run: Callable[..., Result]) -> None:
        """Run each cell until it has that many runs, in turn: what slows the machine slows all.

        Args:
            keys: the cells.
            runs: how many each shall have.
            run: takes a key's parts, returns a result.
        """
        missing = [key for done in range(runs) for key in keys if len(self._runs[key]) <= done]
        for number, key in enumerate(missing, 1):
            self._add(key, run(*key))
            print(f"{self._name} {number}/{len(missing)}", *key, self._runs[key][-1], file=sys.stderr, flush=True)

    def _add(self, key: Key, result: Result) -> None:
        result["date"] = time.strftime("%Y-%m-%d")
        self._runs[key].append(result)
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"key": key, "result": result}) + "\n")

    def run_counts(self, chosen: Callable[[Key], bool] = lambda key: True) -> str:
        """How many runs each chosen cell has: ``3`` or ``3 to 10``."""
        counts = [len(runs) for key, runs in self._runs.items() if runs and chosen(key)]
        if not counts:
            return "0"
        return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"

    def dates(self) -> str:
        """When the runs were made: one date, or the first and the last."""
        found = sorted({str(run["date"]) for runs in self._runs.values() for run in runs})
        return " to ".join(dict.fromkeys((found[0], found[-1]))) if found else NEVER
