"""Charts of one test as inline SVG: memory and resources over time.

Drawn by pygal, which is pure Python and quick: no browser engine is loaded into the process under test. Of
its output only the drawing is kept; colours come from the page's style sheet, scripts and styles are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from pytest_memleak.model import MB
from pytest_memleak.report.facts import SERIES

_SVG = "{http://www.w3.org/2000/svg}"
_POINTS = 240
_DECIMALS = re.compile(r"(\.\d)\d+")
_WIDTH, _HEIGHT = 480, 280
_HOUR = 3600
_SENSORS = {
    "rss_bytes": ("rss", "RSS"),
    "live_bytes": ("live", "live bytes"),
    "traced_bytes": ("traced", "traced bytes"),
}
_COUNTS = {
    "client_count": "clients",
    "fd_count": "file descriptors",
    "thread_count": "threads",
    "task_count": "asyncio tasks",
    "child_process_count": "child processes",
    "async_generator_count": "async generators",
}

Entry = Mapping[str, Any]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart.

    Args:
        kind: its class in the style sheet.
        name: in the legend.
        points: hours and values.
    """

    kind: str
    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing, and the same for who cannot see it.

    Args:
        title: what it shows, and the unit.
        svg: the drawing, without any text of the user's.
        lines: what is in it.
        rows: a few points of each line: hours, then a value for each line or None.
        warm_up_hours: where the shaded warm-up ends; None where there is none.
    """

    title: str
    svg: str
    lines: Sequence[Line]
    rows: Sequence[tuple[float, Sequence[float | None]]]
    warm_up_hours: float | None


def charts(entry: Entry) -> list[Chart]:
    """The charts of a test; none where too little was measured.

    Args:
        entry: of the record.
    """
    seconds = _complete(entry, "simulated_s")
    if seconds is None or len(seconds) < 2:
        return []
    hours = [each / _HOUR for each in seconds]
    axis = "hours" if entry["settings"].get("profile") == SERIES else "simulated hours"
    found = [_chart("Memory in MB", axis, memory_lines(entry, hours), _warm_up_hours(entry, hours))]
    counted = resource_lines(entry, hours)
    return [*found, _chart("Open resources", axis, counted)] if counted else found


def memory_lines(entry: Entry, hours: Sequence[float]) -> list[Line]:
    """The sensors, the fitted rate and the budget."""
    lines = [
        Line(kind=kind, name=name, points=_thinned(hours, [value / MB for value in column]))
        for column_name, (kind, name) in _SENSORS.items()
        if (column := _complete(entry, column_name))
    ]
    sensor = entry["growth"]["sensor"]
    decided = _complete(entry, f"{sensor}_bytes") if sensor else None
    if decided is None:
        return lines
    values = [value / MB for value in decided]
    last = len(values) - 1
    half = len(values) // 2  # the rate is fitted to the last half
    rate = entry["growth"][sensor]["bytes_per_iteration"] / MB
    middle, level = (half + last) / 2, sum(values[half:]) / len(values[half:])
    fitted = [(hours[i], level + rate * (i - middle)) for i in (half, last)]
    lines.append(Line(kind="fit", name="fitted rate", points=fitted))
    if budget := entry["budget_bytes_per_iteration"]:
        first = min(entry["warm_up_iterations"] or 0, last)
        allowed = [(hours[i], values[first] + budget / MB * (i - first)) for i in (first, last)]
        lines.append(Line(kind="budget", name="budget", points=allowed))
    return lines


def resource_lines(entry: Entry, hours: Sequence[float]) -> list[Line]:
    """The number of each kind of resource that there ever was one of."""
    return [
        Line(kind=column_name.removesuffix("_count"), name=name, points=_thinned(hours, column))
        for column_name, name in _COUNTS.items()
        if (column := _complete(entry, column_name)) and any(column)
    ]


def _complete(entry: Entry, column: str) -> Sequence[float] | None:
    """A column without gaps, or None."""
    values: Sequence[float] = entry["samples"].get(column, ())
    return values if values and None not in values and len(values) == len(entry["samples"]["simulated_s"]) else None


def _thinned(hours: Sequence[float], values: Sequence[float]) -> list[Point]:
    stride = max(1, len(values) // _POINTS)
    kept = [*range(0, len(values) - 1, stride), len(values) - 1]
    return [(hours[i], values[i]) for i in kept]


def _warm_up_hours(entry: Entry, hours: Sequence[float]) -> float | None:
    count = entry["warm_up_iterations"]
    return hours[min(count, len(hours)) - 1] if count else None


def _chart(title: str, axis: str, lines: Sequence[Line], warm_up_hours: float | None = None) -> Chart:
    return Chart(
        title=title, svg=_draw(axis, lines, warm_up_hours), lines=lines, rows=_rows(lines), warm_up_hours=warm_up_hours
    )


def _rows(lines: Sequence[Line], count: int = 8) -> list[tuple[float, Sequence[float | None]]]:
    """The values at about `count` times; a line that is not there at a time has None."""
    if not lines:
        return []
    times = [point[0] for point in lines[0].points]
    chosen = sorted({round(i * (len(times) - 1) / (count - 1)) for i in range(count)})
    return [(times[i], [_value_at(line.points, times[i]) for line in lines]) for i in chosen]


def _value_at(points: Sequence[Point], time: float) -> float | None:
    for (start, low), (end, high) in pairwise(points):
        if start <= time <= end:
            return low + (high - low) * (time - start) / ((end - start) or 1)
    return None


def _draw(axis: str, lines: Sequence[Line], warm_up_hours: float | None) -> str:
    import pygal

    values = [value for line in lines for _, value in line.points]
    low, high = min(values, default=0), max(values, default=1)
    margin = (high - low) * 0.05 or max(abs(high) * 0.02, 1)
    low, high = max(0.0, low - margin), high + margin
    chart = pygal.XY(
        width=_WIDTH,
        height=_HEIGHT,
        range=(low, high),
        show_dots=False,
        show_legend=False,
        js=[],
        max_scale=7,
        x_title=axis,
        x_value_formatter=lambda value: f"{value:g}",
        value_formatter=lambda value: f"{value:g}",
    )
    shapes: dict[str, Sequence[Point]] = {}
    if warm_up_hours:  # first, so that the lines are drawn over it
        start = lines[0].points[0][0]
        shapes["warm-up"] = [(start, low), (start, high), (warm_up_hours, high), (warm_up_hours, low), (start, low)]
    shapes |= {line.kind: line.points for line in lines}
    for kind, points in shapes.items():
        chart.add(kind, points)
    return _drawing_only(chart.render(), list(shapes))


def _drawing_only(rendered: bytes, kinds: Sequence[str]) -> str:
    """The SVG without scripts, styles, comments, ids and overlays, its series named after what they show."""
    tree = ElementTree.fromstring(rendered)  # the parser drops comments
    for element in tree.iter():
        element.tag = element.tag.removeprefix(_SVG)  # inside HTML it needs no namespace
    for element in list(tree.iter()):
        for child in list(element):
            if child.tag in ("defs", "title") or "overlay" in child.get("class", ""):
                element.remove(child)
        element.attrib.pop("id", None)
        css = element.get("class", "").split()
        if css[:1] == ["series"]:
            element.set("class", f"line-{kinds[int(css[1].removeprefix('serie-'))]}")
        if element.tag in ("path", "rect"):
            # Without the style sheet, which some viewers block, a shape would be filled black.
            element.set("fill", "none")
        if element.tag == "path":
            element.set("stroke", "currentColor")
            element.set("d", _DECIMALS.sub(r"\1", element.get("d", "")))
    tree.attrib |= {"aria-hidden": "true", "focusable": "false"}
    return ElementTree.tostring(tree, encoding="unicode")
