"""The pages that are written from the code: the reference, and the results where there are any.

Each is made of what the plugin itself declares to pytest, so that it cannot differ from it.
"""

from __future__ import annotations

import re
from pathlib import Path

from format_pages import command_line_page, junit_page, schema_page
from python_pages import clients_page, fixtures_page, hooks_page, python_page
from settings_pages import marker_page, options_page
from writing import WIDE


def pages(root: Path) -> dict[str, str]:
    """Text by path within the documentation.

    Args:
        root: of the project.
    """
    reference = {
        "options": options_page,
        "marker": marker_page,
        "fixtures": fixtures_page,
        "hooks": hooks_page,
        "clients": clients_page,
        "python": python_page,
        "command-line": command_line_page,
        "junit": junit_page,
        "schema": schema_page,
    }
    written = {f"reference/{name}.md": page() for name, page in reference.items()}
    return {**written, "results.md": results_page(root / "benchmarks" / "RESULTS.md")}


def results_page(results: Path) -> str:
    """What `python -m benchmarks` wrote, without links to files that are not part of the documentation."""
    if results.is_file():
        return WIDE + re.sub(r"\[([^]]+)\]\((?!https?:|#)[^)]*\)", r"\1", results.read_text(encoding="utf-8"))
    return "# Results\n\nNo results are written yet: `python -m benchmarks` measures them.\n"
