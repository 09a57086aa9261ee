"""leak_report.txt, the terminal summary and the text of a failing test. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_memleak.report.upstream import at_fault, issue_text
from pytest_memleak.units import format_bytes, format_duration

WIDTH = 100
_BARS = "▁▂▃▄▅▆▇█"
_FAR_HOURS = 24 * 365
_ORDER = ("leak", "error", "inconclusive", "not_measured", "passed")
"""What a tired person on call needs first comes first."""

Entry = Mapping[str, Any]


def report(record: Mapping[str, Any]) -> str:
    """The whole leak_report.txt.

    Args:
        record: the JSON record of the session.
    """
    tests = sorted_entries(record["tests"])
    parts = [f"Memory leak report, pytest-memleak {record['tool']['version']}", _counts(tests), ""]
    if tests:
        parts += [summary_table(tests), ""]
    for entry in tests:
        parts += [section(entry), ""]
        if issue := issue_text(entry, record):
            # A text to copy: it keeps its own lines.
            parts += [f"  This leak is {at_fault(entry)}'s. The text of an issue for its project:", "", issue, ""]
    if record["not_checked"]:
        parts += ["Not checked:", *(f"  {_clip(_printable(row), WIDTH - 2)}" for row in record["not_checked"]), ""]
    environment = record["environment"]
    parts += _wrap(
        f"{environment['python']} on {environment['platform']}, {environment['cpus']} CPUs; "
        f"sensors: {', '.join(environment['sensors'])}; {environment['started']}",
        "",
    )
    return "\n".join(line.rstrip() for part in parts for line in part.split("\n")) + "\n"


def sorted_entries(entries: Iterable[Entry]) -> list[Entry]:
    """The worst verdicts first."""
    return sorted(entries, key=lambda entry: _ORDER.index(entry["verdict"]))


def headlines(entries: Iterable[Entry]) -> list[str]:
    """One line for each test that has not passed."""
    return [
        f"{_printable(entry['nodeid'])}: {_headline(entry)}"
        for entry in sorted_entries(entries)
        if entry["verdict"] != "passed"
    ]


def _counts(tests: Sequence[Entry]) -> str:
    if not tests:
        return "No test was checked: mark tests with @pytest.mark.memleak, or use --memcheck-all"
    counts = [(sum(entry["verdict"] == word for entry in tests), word) for word in _ORDER]
    checked = "1 test" if len(tests) == 1 else f"{len(tests)} tests"
    return f"{checked} checked: " + ", ".join(f"{n} {word.replace('_', ' ')}" for n, word in counts if n)


def summary_table(tests: Sequence[Entry]) -> str:
    """One row per test: verdict, rate, budget, iterations."""
    from tabulate import tabulate

    rows = []
    for entry in tests:
        growth = _deciding(entry)
        rate = "" if growth is None else f"{_number(growth['mb_per_24h'])}"
        rows.append(
            (
                entry["verdict"].replace("_", " ").upper() if entry["verdict"] != "passed" else "passed",
                rate,
                "" if entry["budget_mb_per_24h"] is None else _number(entry["budget_mb_per_24h"]),
                f"{entry['iterations']:,}",
                "" if entry["requests"] is None else f"{entry['requests']:,}",
            )
        )
    headers = ("verdict", "MB/24h", "budget", "iterations", "requests")
    align = ("left", "right", "right", "right", "right")
    table = tabulate(rows, headers=headers, tablefmt="simple", colalign=align, disable_numparse=True).split("\n")
    # The test has what the numbers leave of the line.
    names = [_clip(_printable(entry["nodeid"]), WIDTH - 2 - len(table[1])) for entry in tests]
    last = ("test", "-" * max(4, *map(len, names)), *names)
    width = len(table[1])  # tabulate leaves off the blanks of an empty last column
    return "\n".join(f"{row.ljust(width)}  {name}" for row, name in zip(table, last, strict=True))


def section(entry: Entry) -> str:
    """Everything about one test."""
    title = _clip(_printable(entry["nodeid"]), WIDTH)
    lines = [title, "-" * min(len(title), WIDTH)]
    lines += _wrap(f"{entry['verdict'].replace('_', ' ').upper()}: {entry['message']}", "")
    for name, fact in _facts(entry):
        lines += _wrap(fact, f"  {name:<12}") if fact else []
    for finding in entry["findings"]:
        if finding["details"] or finding["summary"] not in entry["message"]:
            lines += _wrap(finding["summary"], "  * ")
        lines += [f"      {_clip(_printable(detail), WIDTH - 6)}" for detail in finding["details"]]
    for note in entry["notes"]:
        if all(note != finding["summary"] for finding in entry["findings"]):
            lines += _wrap(note, "  note: ")
    return "\n".join(lines)


def _facts(entry: Entry) -> list[tuple[str, str | None]]:
    """The numbers of a section, name and text; an empty text is left out."""
    growth, rss = _deciding(entry), entry["rss"]
    facts: list[tuple[str, str | None]] = []
    if growth is not None:
        facts = [
            ("growth", f"{_number(growth['mb_per_24h'])} MB/24h, 99 % interval {_interval(growth)}"),
            ("budget", f"{entry['settings']['max_growth']} ({_number(entry['budget_mb_per_24h'])} MB/24h)"),
            ("each", _each(growth)),
            ("sensors", _both_sensors(entry["growth"])),
        ]
    facts.append(("run", _run(entry)))
    if rss["start_bytes"] is not None:
        start, peak, end = (format_bytes(rss[f"{name}_bytes"] or 0) for name in ("start", "peak", "end"))
        facts.append(("RSS", f"start {start}, peak {peak}, end {end}"))
        facts.append(("", sparkline(entry["samples"].get("rss_bytes", ()))))
    if len(entry["routes"]) > 1:
        facts.append(("routes", _routes(entry["routes"])))
    facts += [("cause", entry["cause"]), ("line", entry["top_line"]), ("held by", entry["top_holder"])]
    if entry["forecast"]:
        facts.append(("severity", f"{entry['severity']}"))
        facts.append(("forecast", _forecast(entry["forecast"])))
    return facts


def _run(entry: Entry) -> str:
    settings = entry["settings"]
    whole = format_duration(settings["duration_s"])
    judged = format_duration(entry["simulated_s"]) if entry["simulated_s"] else "0"
    requests = "" if entry["requests"] is None else f", {entry['requests']:,} requests"
    if entry["failed_requests"]:
        requests += f" ({entry['failed_requests']:,} failed)"
    return f"{entry['iterations']:,} iterations{requests}; judged on {judged} of {whole}; took {entry['total_s']:.1f} s"


def _each(growth: Mapping[str, Any]) -> str:
    text = f"{format_bytes(growth['bytes_per_iteration'])} an iteration"
    if growth["bytes_per_request"] is not None:
        text += f", {format_bytes(growth['bytes_per_request'])} a request"
    return text


def _both_sensors(growth: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{label} {_number(growth[name]['mb_per_24h'])} MB/24h"
        for name, label in (("live", "live bytes"), ("rss", "RSS"), ("traced", "traced bytes"))
        if growth[name]
    )


def _routes(routes: Mapping[str, int]) -> str:
    most = sorted(routes.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{_clip(_printable(route), 40)} x {count:,}" for route, count in most[:3])
    return shown + (f" and {len(most) - 3} more" if len(most) > 3 else "")


def _forecast(forecast: Mapping[str, Any]) -> str:
    after = ", ".join(f"{h} h {format_bytes(size)}" for h, size in forecast["rss_bytes_after_hours"].items())
    full = forecast["hours_until_100_percent"]
    limit = format_bytes(forecast["memory_limit_bytes"])
    if full is None or full > _FAR_HOURS:
        return f"after {after}; the limit of {limit} is not in sight"
    return f"after {after}; 80 % of {limit} in {forecast['hours_until_80_percent']:g} h, 100 % in {full:g} h"


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """The shape of a series in `width` characters."""
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
    return _headline(entry)


def _headline(entry: Entry) -> str:
    word = {"leak": "memory leak", "not_measured": "not measured"}.get(entry["verdict"], entry["verdict"])
    return f"{word}: {entry['message']}"


def _deciding(entry: Entry) -> Mapping[str, Any] | None:
    growth = entry["growth"]
    found: Mapping[str, Any] | None = growth[growth["sensor"]] if growth["sensor"] else None
    return found


def _interval(growth: Mapping[str, Any]) -> str:
    return f"{_number(growth['low_mb_per_24h'])} to {_number(growth['high_mb_per_24h'])}"


def _number(value: float | None) -> str:
    if value is None:
        return "?"
    if 0 < abs(value) < 0.95:
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value or 0:.1f}"  # not -0.0


def _wrap(text: str, indent: str) -> list[str]:
    import textwrap

    return textwrap.wrap(
        _printable(text), WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent), break_on_hyphens=False
    )


def _printable(text: str) -> str:
    """One line without control characters or lone surrogates: ids and paths come from elsewhere."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode("ascii") for c in text)


def _clip(text: str, width: int) -> str:
    """Keep the end of a long text: a node id is told apart by its end."""
    return text if len(text) <= width else "…" + text[-(width - 1) :]
