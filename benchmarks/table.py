"""One published table: what it shows, how it was made, which target it met."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from benchmarks.cells import NEVER

Row = Sequence[object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table and what a reader must know beside it.

    Args:
        title: its heading.
        headers: of its columns.
        rows: in order.
        runs: how many runs a cell has, in words.
        dates: when it was measured.
        module: ``python -m benchmarks.<module>`` makes it.
        notes: one sentence each: how to read it, what target is met or missed and why.
    """

    title: str
    headers: tuple[str, ...]
    rows: Sequence[Row]
    runs: str
    dates: str
    module: str
    notes: tuple[str, ...] = ()

    def as_text(self, style: str = "simple") -> str:
        """The table alone."""
        return tabulate(self.rows, headers=self.headers, tablefmt=style, disable_numparse=True, missingval="")

    def show(self) -> None:
        """Print the table and its notes."""
        print(self.as_text(), "", *(f"- {note}" for note in self.notes), sep="\n")

    def as_markdown(self) -> str:
        """The section of RESULTS.md; one that only says so where nothing was measured."""
        if self.dates == NEVER:
            return f"## {self.title}\n\n`python -m benchmarks.{self.module}`; not run.\n"
        made = f"`python -m benchmarks.{self.module}`; runs per cell: {self.runs}; measured {self.dates}."
        notes = "\n".join(f"- {note}" for note in self.notes)
        return f"## {self.title}\n\n{made}\n\n{self.as_text('github')}\n\n{notes}".rstrip() + "\n"


def main(measure: Callable[[int], object], make_table: Callable[[], Table], *, runs: int = 10) -> None:
    """The command line of one table: measure what is missing, print.

    Args:
        measure: takes the runs a cell shall have.
        make_table: from what was measured.
        runs: the default.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=runs, help=f"runs per cell (default {runs})")
    measure(parser.parse_args().runs)
    make_table().show()
