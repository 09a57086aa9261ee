"""GitHub: the step summary in Markdown, and annotations at the leaking lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_memleak.report.facts import (
    Entry,
    clip,
    compared,
    counts,
    deciding,
    facts,
    headline,
    number,
    printable,
    sorted_entries,
)

_LARGEST_SUMMARY_BYTES = 900_000
"""GitHub refuses a step summary of more than 1 MiB."""
_MOST_ANNOTATIONS = 10
"""GitHub shows that many of a step, so the worst come first."""
_LONGEST_TEXT = 1_000
_LOCATED = ("unclosed_client", "dropped_client", "unclosed_resource", "allocation", "native_allocation", "holder")
_SPECIAL = re.compile(r"[^\w\s/.,;?%]|_")


def summary(record: Mapping[str, Any]) -> str:
    """The step summary.

    Args:
        record: of the session.
    """
    tests = sorted_entries(record["tests"])
    parts = ["## Memory leak report", counts(tests), _table(tests)]
    heading, rows = compared(record)
    if heading:
        parts += [f"### {_literal(heading)}", _rows(("Status", "Test", "Difference"), map(_compared, rows))]
    size = len("\n\n".join(parts).encode())
    for position, entry in enumerate(tests):
        part = "" if entry["verdict"] == "passed" else _section(entry)
        size += len(part.encode())
        if size > _LARGEST_SUMMARY_BYTES:
            parts.append(f"{len(tests) - position:,} more tests are in the report.")
            break
        parts.append(part)
    return "\n\n".join(part for part in parts if part) + "\n"


def workflow_commands(record: Mapping[str, Any], folder: str = "") -> list[str]:
    """Workflow commands that mark the leaking lines: errors, and warnings for what is inconclusive.

    Args:
        record: of the session.
        folder: of the root directory inside the repository, with a slash at its end.
    """
    marked = [
        entry for entry in sorted_entries(record["tests"]) if entry["verdict"] in ("leak", "error", "inconclusive")
    ]
    return [_annotation(entry, folder) for entry in marked[:_MOST_ANNOTATIONS]]


def _annotation(entry: Entry, folder: str) -> str:
    command = "warning" if entry["verdict"] == "inconclusive" else "error"
    properties = {"title": clip(printable(entry["nodeid"]), 200)}
    if place := _place(entry):
        path, line = place
        properties = {"file": f"{folder}{printable(path)}", "line": str(line), **properties}
    shown = ",".join(f"{name}={_escaped(value, in_property=True)}" for name, value in properties.items())
    return f"::{command} {shown}::{_escaped(clip(printable(headline(entry)), _LONGEST_TEXT))}"


def _place(entry: Entry) -> tuple[str, int] | None:
    """The line in the repository that a person should look at: paths outside of it are absolute."""
    for finding in sorted(entry["findings"], key=lambda found: found["kind"] not in _LOCATED):
        path, line = finding["path"], finding["line"]
        if path and line and not path.startswith(("/", "..")) and ":" not in path[:3]:
            return path, line
    return None


def _escaped(text: str, *, in_property: bool = False) -> str:
    """Text in a workflow command: a line break would start the next command."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if in_property else text


def _table(tests: Sequence[Entry]) -> str:
    if not tests:
        return ""
    heads = ("Verdict", "Test", "MB/24h", "Budget", "Iterations", "Requests")
    return _rows(heads, map(_summary_row, tests))


def _summary_row(entry: Entry) -> tuple[str, ...]:
    growth, budget = deciding(entry), entry["budget_mb_per_24h"]
    return (
        f"**{entry['verdict'].replace('_', ' ')}**",
        _literal(entry["nodeid"]),
        "" if growth is None else number(growth["mb_per_24h"]),
        "" if budget is None else number(budget),
        *("" if entry[name] is None else f"{entry[name]:,}" for name in ("iterations", "requests")),
    )


def _compared(row: Mapping[str, str]) -> tuple[str, ...]:
    return (f"**{row['status'].replace('_', ' ')}**", _literal(row["nodeid"]), _literal(row["summary"]))


def _rows(heads: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _section(entry: Entry) -> str:
    lines = [f"### {entry['verdict'].replace('_', ' ')}: {_literal(entry['nodeid'])}", _literal(entry["message"])]
    lines.append("\n".join(f"- {name}: {_literal(fact)}" for name, fact in facts(entry)))
    lines += [f"1. {_literal(finding['summary'])}" for finding in entry["findings"]]
    return "\n\n".join(lines)


def _literal(text: str) -> str:
    """Text that is no Markdown, no HTML, no mention and no link."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", clip(printable(text), _LONGEST_TEXT))
