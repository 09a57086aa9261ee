"""Reads memory over time: a CSV of times and bytes, or what Prometheus answers to `query_range`."""

from __future__ import annotations

import csv
import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_memleak.judge.series import Series
from pytest_memleak.units import UnitError, parse_size

_LEAST_RSS_BYTES = 1_000_000
_TOO_LARGE = 1e18
_MILLISECONDS = 100_000_000_000
"""Times from here on are milliseconds: as seconds they would be in the year 5138."""
_TIME_NAMES = ("time", "date", "ts")
_MEMORY_NAMES = ("rss", "resident", "mem", "bytes", "value")


class SeriesError(ValueError):
    """A text is not memory over time; the message says where and why."""


def from_prometheus(answer: Mapping[str, Any], name: str) -> list[Series]:
    """The series in the answer of Prometheus to `query_range`.

    Args:
        answer: the JSON of it.
        name: of the file, for messages.

    Raises:
        SeriesError: for an error of Prometheus, another kind of result, or no samples.
    """
    if answer.get("status") != "success":
        raise SeriesError(f"{name}: Prometheus answered {answer.get('error') or answer.get('status')!r}")
    data = answer.get("data")
    kind, results = (data.get("resultType"), data.get("result")) if isinstance(data, dict) else (None, None)
    if kind != "matrix" or not isinstance(results, list):
        raise SeriesError(f"{name}: the result is {kind!r} and must be a 'matrix'; ask /api/v1/query_range")
    found = []
    for result in results:
        try:
            labels = {str(key): str(value) for key, value in result["metric"].items()}
            points = [(float(time), float(value)) for time, value in result["values"]]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise SeriesError(f"{name} is damaged: a result is not a metric with values") from None
        found.append(_series(_metric_name(labels), points, name))
    if not found:
        raise SeriesError(f"{name}: Prometheus found no series; check the metric's name and the time range")
    return found


def _metric_name(labels: dict[str, str]) -> str:
    metric = labels.pop("__name__", "")
    shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{metric}{{{shown}}}" if shown or not metric else metric


def from_csv(text: str, name: str) -> list[Series]:
    """The series in a CSV of times and bytes, with or without a heading.

    Times are seconds or milliseconds since 1970, or ISO 8601 (UTC where no zone is given). A column whose name
    ends in a unit, like ``rss_mb``, is in that unit.

    Args:
        text: lines with a comma, semicolon or tab between columns.
        name: of the file.

    Raises:
        SeriesError: for a line that is not a time and a size, with its number.
    """
    lines = text.splitlines()
    delimiter = max("\t;,", key=(lines or [""])[0].count)
    try:
        rows = [(number, row) for number, row in enumerate(csv.reader(lines, delimiter=delimiter), 1) if any(row)]
    except csv.Error as error:  # an unclosed quote
        raise SeriesError(f"{name} is damaged: {error}") from None
    if not rows or len(rows[0][1]) < 2:
        raise SeriesError(f"{name} has no two columns; it must hold a time and a size in bytes on each line")
    columns, scale = (0, 1), 1.0
    if _is_heading(rows[0][1]):
        columns, scale = _columns(rows.pop(0)[1])
    return [_series(name, [_point(row, columns, scale, f"{name}, line {number}") for number, row in rows], name)]


def _is_heading(row: Sequence[str]) -> bool:
    try:
        _time(row[0])
    except ValueError:
        return True
    return False


def _columns(heading: Sequence[str]) -> tuple[tuple[int, int], float]:
    """Which column is the time and which the memory, and the bytes of its unit."""
    names = [name.strip().lower() for name in heading]
    time = next((i for i, name in enumerate(names) if name.startswith(_TIME_NAMES) or name.endswith("time")), 0)
    others = [i for i in range(len(names)) if i != time]
    memory = next((i for word in _MEMORY_NAMES for i in others if word in names[i]), others[0])
    try:
        return (time, memory), float(parse_size(f"1{names[memory].rpartition('_')[2]}"))
    except UnitError:
        return (time, memory), 1.0


def _point(row: Sequence[str], columns: tuple[int, int], scale: float, where: str) -> tuple[float, float]:
    try:
        time, size = (row[column].strip() for column in columns)
    except IndexError:
        raise SeriesError(f"{where} has {len(row)} columns; it must have a time and a size") from None
    try:
        return _time(time), _size(size) * scale
    except ValueError:
        raise SeriesError(f"{where}: {time!r} and {size!r} are not a time and a size") from None


def _time(text: str) -> float:
    try:
        seconds = float(text)
        return seconds / 1000 if seconds >= _MILLISECONDS else seconds
    except ValueError:
        moment = datetime.datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _size(text: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return float(parse_size(text))


def _series(label: str, points: Iterable[tuple[float, float]], name: str) -> Series:
    """In order of time, the last of several samples at one time, without gaps that are written as NaN."""
    known = {time: size for time, size in points if math.isfinite(time) and math.isfinite(size)}
    if huge := [number for point in known.items() for number in point if abs(number) >= _TOO_LARGE]:
        raise SeriesError(f"{name}: {label} holds {huge[0]:g}, which is no time and no memory")
    if any(size < 0 for size in known.values()):
        raise SeriesError(f"{name}: memory is negative in {label}; give resident bytes, not their change")
    if known and max(known.values()) < _LEAST_RSS_BYTES:
        raise SeriesError(
            f"{name}: {label} is at most {max(known.values()):g} bytes, less than any process has; give bytes, or "
            "name the column after its unit, like rss_mb"
        )
    times = sorted(known)
    return Series(name=label, times_s=times, rss_bytes=[known[time] for time in times])
