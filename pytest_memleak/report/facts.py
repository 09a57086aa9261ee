"""The facts of a record in words: what every report for people says alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_memleak.units import format_bytes, format_duration

_FAR_HOURS = 24 * 365
ORDER = ("leak", "error", "inconclusive", "not_measured", "passed")
"""What a tired person on call needs first comes first."""

SERIES = "series"
"""The profile of memory that was sampled in production."""

Entry = Mapping[str, Any]


def sorted_entries(entries: Iterable[Entry]) -> list[Entry]:
    """The worst verdicts first."""
    return sorted(entries, key=lambda entry: ORDER.index(entry["verdict"]))


def counts(tests: Sequence[Entry]) -> str:
    """How many tests were checked, and how many have each verdict."""
    if not tests:
        return "No test was checked: mark tests with @pytest.mark.memleak, or use --memcheck-all"
    verdicts = [(sum(entry["verdict"] == word for entry in tests), word) for word in ORDER]
    what = "test" if any(entry["settings"].get("profile") != SERIES for entry in tests) else "series"
    checked = f"1 {what}" if len(tests) == 1 else f"{len(tests)} {what}{'s' if what == 'test' else ''}"
    return f"{checked} checked: " + ", ".join(f"{n} {word.replace('_', ' ')}" for n, word in verdicts if n)


def headline(entry: Entry) -> str:
    """The verdict and why, in one line."""
    word = {"leak": "memory leak", "not_measured": "not measured"}.get(entry["verdict"], entry["verdict"])
    return f"{word}: {entry['message']}"


def deciding(entry: Entry) -> Mapping[str, Any] | None:
    """The growth of the sensor that decided, None where nothing was measured."""
    growth = entry["growth"]
    found: Mapping[str, Any] | None = growth[growth["sensor"]] if growth["sensor"] else None
    return found


def facts(entry: Entry) -> list[tuple[str, str]]:
    """What is known of a test, name and text: where it is and how urgent before the numbers behind it."""
    rows = [("line", entry["top_line"]), ("held by", entry["top_holder"]), ("cause", entry["cause"])]
    if entry["forecast"]:
        rows += [("severity", entry["severity"]), ("forecast", _forecast(entry["forecast"]))]
    growth, rss = deciding(entry), entry["rss"]
    if growth is not None:
        rows += [
            ("growth", f"{number(growth['mb_per_24h'])} MB/24h, 99 % interval {interval(growth)}"),
            ("budget", f"{entry['settings']['max_growth']} ({number(entry['budget_mb_per_24h'])} MB/24h)"),
            ("each", _each(growth)),
            ("sensors", _sensors(entry["growth"])),
        ]
    if rss["start_bytes"] is not None:
        start, peak, end = (format_bytes(rss[f"{name}_bytes"] or 0) for name in ("start", "peak", "end"))
        rows.append(("RSS", f"start {start}, peak {peak}, end {end}"))
    if len(entry["routes"]) > 1:
        rows.append(("routes", _routes(entry["routes"])))
    rows += [("container", _container(entry)), ("run", _run(entry))]
    return [(name, fact) for name, fact in rows if fact]


def _run(entry: Entry) -> str:
    settings = entry["settings"]
    if entry["iterations"] is None:
        return ""
    judged = format_duration(entry["simulated_s"]) if entry["simulated_s"] else "0"
    if settings.get("profile") == SERIES:
        return f"{entry['iterations']:,} samples, one every {format_duration(settings['step_s'])}; judged on {judged}"
    requests = "" if entry["requests"] is None else f", {entry['requests']:,} requests"
    if entry["failed_requests"]:
        requests += f" ({entry['failed_requests']:,} failed)"
    whole = format_duration(settings["duration_s"])
    return f"{entry['iterations']:,} iterations{requests}; judged on {judged} of {whole}; took {entry['total_s']:.1f} s"


def _each(growth: Mapping[str, Any]) -> str:
    text = f"{format_bytes(growth['bytes_per_iteration'])} an iteration"
    if growth["bytes_per_request"] is not None:
        text += f", {format_bytes(growth['bytes_per_request'])} a request"
    return text


def _sensors(growth: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{label} {number(growth[name]['mb_per_24h'])} MB/24h"
        for name, label in (("live", "live bytes"), ("rss", "RSS"), ("traced", "traced bytes"))
        if growth.get(name)
    )


def _routes(routes: Mapping[str, int]) -> str:
    most = sorted(routes.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{clip(printable(route), 40)} x {count:,}" for route, count in most[:3])
    return shown + (f" and {len(most) - 3} more" if len(most) > 3 else "")


def _forecast(forecast: Mapping[str, Any]) -> str:
    after = ", ".join(f"{h} h {format_bytes(size)}" for h, size in forecast["rss_bytes_after_hours"].items())
    near, full = forecast["hours_until_80_percent"], forecast["hours_until_100_percent"]
    limit = format_bytes(forecast["memory_limit_bytes"])
    if near is None or full is None or full > _FAR_HOURS:
        return f"after {after}; the limit of {limit} is not in sight"
    return f"after {after}; 80 % of {limit} in {near:,g} h, 100 % in {full:,g} h"


def _container(entry: Entry) -> str | None:
    """The memory limit that what was measured calls for; while memory leaks none is enough."""
    base, peak = entry["rss"]["start_bytes"], entry["rss"]["peak_bytes"]
    if entry["verdict"] != "passed" or base is None or peak is None:
        return None
    limit = base + (peak - base) * 1.2
    return f"limit {format_bytes(limit)} or more: base {format_bytes(base)} + 1.2 x (peak {format_bytes(peak)} - base)"


def interval(growth: Mapping[str, Any]) -> str:
    """The 99 % interval in MB per 24 h."""
    return f"{number(growth['low_mb_per_24h'])} to {number(growth['high_mb_per_24h'])}"


def number(value: float | None) -> str:
    """MB per 24 h with the digits that matter."""
    if value is None:
        return "?"
    if 0 < abs(value) < 0.95:
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value or 0:.1f}"  # not -0.0


def printable(text: str) -> str:
    """One line without control characters or lone surrogates: ids and paths come from elsewhere."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode("ascii") for c in text)


def clip(text: str, width: int) -> str:
    """Keep the end of a long text: a node id is told apart by its end."""
    return text if len(text) <= width else "…" + text[-(width - 1) :]


def origin(record: Mapping[str, Any]) -> str:
    """Where and when a record was made."""
    where = record["environment"]
    if not where["python"]:
        return f"sampled from {where['started']} on"
    sensors = ", ".join(where["sensors"])
    return f"{where['python']} on {where['platform']}, {where['cpus']} CPUs; sensors: {sensors}; {where['started']}"


def compared(record: Mapping[str, Any]) -> tuple[str, list[Mapping[str, str]]]:
    """A heading for the comparison with a baseline and its rows, worst first; none without one."""
    baseline = record["baseline"]
    if baseline is None:
        return "", []
    statuses = ("regression", "grown", "renamed", "new", "gone", "not_comparable", "improved", "unchanged")
    rows = sorted(baseline["tests"], key=lambda row: statuses.index(row["status"]))
    limit = baseline["fail_over_percent"]
    allowed = "" if limit is None else f", which may be exceeded by {limit:g} %"
    return f"Compared with the baseline {baseline['name']!r}{allowed}", rows
