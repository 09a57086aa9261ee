"""Checks the service with each defect and prints what was found, as a Markdown table.

Run with: python -m resume_advisor.table
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parent.parent
COLUMNS = ("defect", "verdict", "MB/24h", "line", "held by")


def check_all(junit: Path) -> None:
    """Run the checks of all defects; the verdicts go to `junit`."""
    tests = ["tests/test_defects.py", "--memcheck", "--memcheck-report", junit.with_suffix(".txt"), "--junitxml", junit]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *map(str, tests)], cwd=PROJECT, stdout=subprocess.PIPE, check=True
    )


def rows(junit: Path) -> Iterator[tuple[str, ...]]:
    """One row for each defect."""
    for case in ElementTree.parse(junit).iter("testcase"):
        said = {item.get("name", ""): item.get("value", "") for item in case.iter("property")}
        yield (
            case.get("name", "").partition("[")[2].removesuffix("]"),
            said["memleak.verdict"],
            f"{float(said['memleak.growth_mb_per_24h']):.1f}",
            f"`{said['memleak.top_line'].removeprefix('resume_advisor/')}`",
            said.get("memleak.top_holder", "").replace("resume_advisor.", "") or "nobody: dropped without close",
        )


def main() -> None:
    """Check, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder, "junit.xml")
        check_all(junit)
        table = [COLUMNS, tuple("-" * len(column) for column in COLUMNS), *rows(junit)]
    for row in table:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
