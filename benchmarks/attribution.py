"""How often the explanation names the true line and the true holder of a planted leak.

``python -m benchmarks.attribution [NAME ...]``: every plant of ``tests/explain/plants`` in a process
of its own; prints a table and the shares. Needs the test dependencies, cachetools and numpy; plants
whose package or compiler is missing are skipped aloud.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
from dataclasses import dataclass

from tabulate import tabulate

from tests.explain import planted


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Where the truth came in a plant's explanation: 1 first, 0 not at all, None: there is none."""

    plant: str
    line: int | None
    holder: int | None
    top_line: object
    top_holder: object


def position(found: list[str], true: set[str]) -> int | None:
    """The rank of the first true answer; None where no answer is true."""
    if not true:
        return None
    return next((rank for rank, answer in enumerate(found, 1) if answer in true), 0)


def score(plant: str, extension: str) -> Score:
    """Explain one plant and compare."""
    lines, holders = planted.expected(plant)
    result = planted.in_fresh_process(plant, extension=extension)
    found_lines, found_holders = result["lines"], result["holders"]
    assert isinstance(found_lines, list)
    assert isinstance(found_holders, list)
    return Score(
        plant=plant,
        line=position(found_lines, lines),
        holder=position(found_holders, holders),
        top_line=result["top_line"],
        top_holder=result["top_holder"],
    )


def share(ranks: list[int | None], within: int) -> str:
    """How many of the truths that exist came within the first `within` answers."""
    known = [rank for rank in ranks if rank is not None]
    hits = sum(1 <= rank <= within for rank in known)
    return f"{hits} of {len(known)} ({100 * hits / max(1, len(known)):.0f} %)"


def main(chosen: list[str]) -> int:
    """Print the table; 1 when a target is missed."""
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        compiled = planted.build_extension(pathlib.Path(folder))
        for plant in chosen or planted.names():
            if plant.startswith("c_") and not compiled:
                print(f"skipped {plant}: no C compiler")
                continue
            try:
                scores.append(score(plant, folder))
            except RuntimeError as error:
                if "ModuleNotFoundError" not in str(error):
                    raise
                print(f"skipped {plant}: {str(error).splitlines()[-1]}")
    rows = [(one.plant, one.line, one.holder, one.top_line, one.top_holder) for one in scores]
    print(tabulate(rows, headers=("plant", "line", "holder", "first line", "first holder"), missingval="-"))
    lines, holders = [one.line for one in scores], [one.holder for one in scores]
    print(f"\n{len(scores)} plants")
    for name, ranks in (("line", lines), ("holder", holders)):
        print(f"true {name} first: {share(ranks, 1)}; in the first three: {share(ranks, 3)}")
    return int(any(rank == 0 for rank in (*lines, *holders)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
