"""A record of memory that was sampled in production, judged like a run."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_memleak.judge.series import Series, is_long_enough, judge_series, segments
from pytest_memleak.report.alerts import DEFAULT_LIMIT_BYTES
from pytest_memleak.report.record import SCHEMA, RecordError, loads, parse
from pytest_memleak.series import SeriesError, from_csv, from_prometheus
from pytest_memleak.settings import FEWEST_ITERATIONS, Settings, SettingsError, make_settings
from pytest_memleak.units import format_bytes


def judged_record(path: Path, given: Mapping[str, str | None], *, split: bool = True) -> dict[str, Any]:
    """The record in a file, or the record of judging the memory over time in it.

    Args:
        path: of a JSON record, a CSV or a Prometheus answer.
        given: budget, memory limit and traffic to judge by; None is the default.
        split: whether falls that look like restarts part the series.

    Raises:
        RecordError, SeriesError: for a file that is neither, or too short.
        SettingsError: for a setting that cannot be used.
        OSError: when the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise RecordError(f"{path} is not UTF-8 text") from None
    if not text.lstrip().startswith(("{", "[")):
        return _judged(from_csv(text, path.name), given, split)
    answer = parse(text, str(path))
    if isinstance(answer, dict) and "status" in answer and "tests" not in answer:
        return _judged(from_prometheus(answer, str(path)), given, split)
    if any(value is not None for value in given.values()):
        raise SettingsError(
            "a record holds its own verdicts: --max-growth, --memory-limit and --traffic are for memory over time"
        )
    return loads(text, str(path))


def _judged(found: list[Series], given: Mapping[str, str | None], split: bool) -> dict[str, Any]:
    settings = _settings(given)
    limit = settings.memory_limit_bytes or DEFAULT_LIMIT_BYTES
    entries, too_short = [], []
    for series in found:
        parts = segments(series) if split else [series]
        for name, part, note in _named(series, parts):
            if not is_long_enough(part):
                too_short.append(f"{name}: {len(part.times_s)} samples; a growth rate needs {FEWEST_ITERATIONS}")
                continue
            verdict = judge_series(part, settings, limit)
            entry = verdict.as_dict(name, all_samples=True)
            entries.append({**entry, "notes": [*entry["notes"], *note]})
    if not entries:
        raise SeriesError("nothing can be judged: " + "; ".join(too_short))
    return {
        "schema": SCHEMA,
        "tool": {"name": "pytest-memleak", "version": version("pytest-memleak")},
        "environment": {
            "python": "",
            "platform": "",
            "cpus": 0,
            "sensors": ["RSS"],
            "started": _moment(min(series.times_s[0] for series in found if series.times_s)),
        },
        "tests": entries,
        "not_checked": too_short,
        "baseline": None,
    }


def _settings(given: Mapping[str, str | None]) -> Settings:
    settings = make_settings({**given, "simulate_time": False, "explain": False})
    per = settings.max_growth.per
    if per == "iteration" or (per == "request" and not settings.traffic_per_s):
        remedy = "give it per 24h" if per == "iteration" else "add --traffic, like 50/s, or give it per 24h"
        raise SettingsError(f"the budget {settings.max_growth.text} does not say how fast memory may grow: {remedy}")
    return settings


def _named(series: Series, parts: list[Series]) -> Iterator[tuple[str, Series, list[str]]]:
    """Each part with a name, and a note where it ends in a restart."""
    for number, part in enumerate(parts):
        if len(parts) == 1:
            yield series.name, part, []
            continue
        note = []
        if number + 1 < len(parts):
            after = parts[number + 1]
            note.append(
                f"restarted at {_moment(after.times_s[0])}: RSS fell from {format_bytes(part.rss_bytes[-1])} to "
                f"{format_bytes(after.rss_bytes[0])} (use --no-restarts if the process went on)"
            )
        yield f"{series.name}, from {_moment(part.times_s[0])}", part, note


def _moment(time_s: float) -> str:
    try:
        return datetime.datetime.fromtimestamp(time_s, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        return f"{time_s:g} s"
