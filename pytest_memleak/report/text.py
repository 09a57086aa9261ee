"""leak_report.txt, the terminal summary and the text of a failing test. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    origin,
    printable,
    sorted_entries,
)
from pytest_memleak.report.upstream import at_fault, issue_text

WIDTH = 100
_DETAIL_LINES = 3
_BARS = "▁▂▃▄▅▆▇█"


def report(record: Mapping[str, Any]) -> str:
    """The whole leak_report.txt.

    Args:
        record: the JSON record of the session.
    """
    tests = sorted_entries(record["tests"])
    parts = [f"Memory leak report, pytest-memleak {record['tool']['version']}", counts(tests), ""]
    if tests:
        parts += [summary_table(tests), ""]
    for entry in tests:
        parts += [section(entry), ""]
        if issue := issue_text(entry, record):
            # A text to copy: it keeps its own lines.
            parts += [f"  This leak is {at_fault(entry)}'s. The text of an issue for its project:", "", issue, ""]
    heading, rows = compared(record)
    if heading:
        parts += [*_wrap(f"{heading}:", ""), *(line for row in rows for line in _compared_row(row)), ""]
    if record["not_checked"]:
        parts += ["Not checked:", *(f"  {clip(printable(row), WIDTH - 2)}" for row in record["not_checked"]), ""]
    parts += _wrap(origin(record), "")
    return "\n".join(line.rstrip() for part in parts for line in part.split("\n")) + "\n"


def _compared_row(row: Mapping[str, str]) -> list[str]:
    indent = f"  {row['status'].replace('_', ' '):<16}"
    name = clip(printable(row["nodeid"]), WIDTH - len(indent))
    return [f"{indent}{name}", *_wrap(row["summary"], " " * len(indent))]


def differences(record: Mapping[str, Any]) -> list[str]:
    """The comparison with a baseline, a line for each test that is not as it was."""
    heading, rows = compared(record)
    changed = [
        f"  {row['status'].replace('_', ' ')}: {printable(row['nodeid'])}: {printable(row['summary'])}"
        for row in rows
        if row["status"] != "unchanged"
    ]
    same = len(rows) - len(changed)
    return [f"{heading}: {same} unchanged{', and' if changed else ''}", *changed] if heading else []


def headlines(entries: Iterable[Entry]) -> list[str]:
    """One line for each test that has not passed."""
    return [
        f"{printable(entry['nodeid'])}: {headline(entry)}"
        for entry in sorted_entries(entries)
        if entry["verdict"] != "passed"
    ]


def summary_table(tests: Sequence[Entry]) -> str:
    """One row per test: verdict, rate, budget, iterations."""
    from tabulate import tabulate

    rows = []
    for entry in tests:
        growth = deciding(entry)
        rate = "" if growth is None else f"{number(growth['mb_per_24h'])}"
        rows.append(
            (
                entry["verdict"].replace("_", " ").upper() if entry["verdict"] != "passed" else "passed",
                rate,
                "" if entry["budget_mb_per_24h"] is None else number(entry["budget_mb_per_24h"]),
                *("" if entry[name] is None else f"{entry[name]:,}" for name in ("iterations", "requests")),
            )
        )
    headers = ("verdict", "MB/24h", "budget", "iterations", "requests")
    align = ("left", "right", "right", "right", "right")
    table = tabulate(rows, headers=headers, tablefmt="simple", colalign=align, disable_numparse=True).split("\n")
    # The test has what the numbers leave of the line.
    names = [clip(printable(entry["nodeid"]), WIDTH - 2 - len(table[1])) for entry in tests]
    last = ("test", "-" * max(4, *map(len, names)), *names)
    width = len(table[1])  # tabulate leaves off the blanks of an empty last column
    return "\n".join(f"{row.ljust(width)}  {name}" for row, name in zip(table, last, strict=True))


def section(entry: Entry) -> str:
    """Everything about one test."""
    title = clip(printable(entry["nodeid"]), WIDTH)
    lines = [title, "-" * min(len(title), WIDTH)]
    lines += _wrap(f"{entry['verdict'].replace('_', ' ').upper()}: {entry['message']}", "")
    for name, fact in facts(entry):
        lines += _wrap(fact, f"  {name:<12}")
        if name == "RSS":
            lines += _wrap(sparkline(entry["samples"].get("rss_bytes", ())), " " * 14)
    for finding in entry["findings"]:
        if finding["details"] or finding["summary"] not in entry["message"]:
            lines += _wrap(finding["summary"], "  * ")
        for detail in finding["details"]:
            lines += _wrap(detail, "      ", most=_DETAIL_LINES)
    for note in entry["notes"]:
        if all(note != finding["summary"] for finding in entry["findings"]):
            lines += _wrap(note, "  note: ")
    return "\n".join(lines)


def sparkline(samples: Sequence[float | None], width: int = 60) -> str:
    """The shape of a series in `width` characters, without its gaps."""
    values = [sample for sample in samples if sample is not None]
    if len(values) < 2:
        return ""
    step = max(1.0, len(values) / width)
    points = [values[min(len(values) - 1, int(i * step))] for i in range(min(width, len(values)))]
    low, high = min(points), max(points)
    # Wavering of a few pages is drawn flat: a full-height zigzag would look like news.
    spread = max(high - low, 0.02 * high, 1.0)
    return "".join(_BARS[min(7, int((value - low) / spread * 8))] for value in points)


def failure_text(entry: Entry) -> str:
    """What a failing test shows; pytest names the test itself, and the rest is in the test's memleak section."""
    return headline(entry)


def _wrap(text: str, indent: str, *, most: int | None = None) -> list[str]:
    """`text` in lines that fit, at most so many of them."""
    import textwrap

    return textwrap.wrap(
        printable(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_on_hyphens=False,
        max_lines=most,
        placeholder=" …",
    )
