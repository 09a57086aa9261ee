"""The HTML report: one page that needs no network and no script. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_memleak.report.charts import Chart, charts
from pytest_memleak.report.facts import (
    Entry,
    clip,
    compared,
    counts,
    deciding,
    facts,
    number,
    origin,
    printable,
    sorted_entries,
)
from pytest_memleak.units import format_bytes

if TYPE_CHECKING:
    from jinja2 import Environment

_LONGEST_NAME = 300

Excerpt = Sequence[tuple[int, str]]
"""Numbered lines of code."""
ReadExcerpt = Callable[[str, int], Excerpt]


def page(record: Mapping[str, Any], read_excerpt: ReadExcerpt) -> str:
    """The whole page.

    Args:
        record: the JSON record of the session.
        read_excerpt: the lines around a line of a file; nothing when they are not known.
    """
    tests = sorted_entries(record["tests"])
    heading, rows = compared(record)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            record=record,
            tests=[(f"test-{number}", entry) for number, entry in enumerate(tests, 1)],
            counts=counts(tests),
            compared_heading=heading,
            compared_rows=rows,
            read_excerpt=read_excerpt,
        )
    )


def fragment(entry: Entry) -> str:
    """One test without its charts, for a page that somebody else makes.

    Args:
        entry: of the record.
    """
    return _environment().get_template("fragment.html.jinja").render(entry=entry)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pytest_memleak.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bytes": format_bytes,
        "line": printable,
        "mb": number,
        "name": lambda text: clip(printable(text), _LONGEST_NAME),
        "tick": lambda value: "" if value is None else f"{value:.4g}",
        "word": lambda text: text.replace("_", " "),
    }
    environment.globals |= {
        "charts": charts,
        "deciding": deciding,
        "facts": facts,
        "origin": origin,
        "described": _described,
    }
    return environment


def _described(chart: Chart) -> str:
    """What the drawing shows, for who cannot see it."""
    ends = (
        f"{line.name} from {line.points[0][1]:.4g} to {line.points[-1][1]:.4g}" for line in chart.lines if line.points
    )
    return f"{chart.title} over time: {'; '.join(ends)}. The table below has the numbers."
