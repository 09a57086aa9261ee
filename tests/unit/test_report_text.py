"""What people read: every line fits, says the same facts, and survives hostile names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_outcome import LENGTH, linear, measured, stopped, verdict

from pytest_memleak.judge.outcome import failed
from pytest_memleak.model import Finding
from pytest_memleak.report import junit, text
from pytest_memleak.settings import make_settings
from pytest_memleak.verdict import Verdict

HOSTILE = {
    "newlines": "test_a.py::test[one\ntwo\r\nthree\u2028four]",
    "surrogate": "test_a.py::test[\udce9\ud800]",
    "endless": "test_a.py::test[" + "x" * 10_000 + "]",
    "wide and combining": "test_a.py::test[漢字e\u0301]",
    "colours": "test_a.py::test[\x1b[31mred\x1b[0m]",
    "bell and null": "test_a.py::test[\a\0]",
    "table": "test_a.py::test[a|b  c---d]",
    "right to left": "test_a.py::test[\u202egnp.exe]",
    "empty": "",
}


def record(*entries) -> dict:
    return {
        "schema": 1,
        "tool": {"name": "pytest-memleak", "version": "1.2.3"},
        "environment": {
            "python": "CPython 3.11.7",
            "platform": "Linux-6.1-x86_64",
            "cpus": 2,
            "sensors": ["RSS", "C heap"],
            "started": "2026-01-02 03:04 UTC",
        },
        "tests": list(entries),
        "not_checked": [],
        "baseline": None,
    }


def entry(found: Verdict, nodeid: str = "tests/test_app.py::test_analyze") -> dict:
    return found.as_dict(nodeid)


def setup_error(nodeid: str = "test_a.py::test_broken", message: str = "setup failed: no") -> dict:
    return Verdict(outcome="error", message=message, settings=make_settings({})).as_dict(nodeid)


def assert_readable(report: str) -> None:
    assert "\x1b" not in report
    assert report == report.encode("utf-8").decode("utf-8")  # no lone surrogate
    for line in report.split("\n"):
        assert len(line) <= text.WIDTH, line
        assert line == line.rstrip()
        assert line.isprintable()


def detailed(*details: str) -> str:
    finding = Finding(kind="allocation", summary="a line", details=details)
    return text.section(entry(replace(verdict(linear(2)), findings=(finding,))))


def test_a_long_detail_keeps_its_beginning():
    report = detailed(f"allocated inside {'/very/long/path' * 5}/re/__init__.py:223 (Python)", "  indented")

    assert "\n      allocated inside\n      /very/long/path" in report
    assert "223\n      (Python)\n        indented" in report


def test_an_endless_detail_ends():
    told = [line.strip() for line in detailed("x" * 10_000).split("\n") if line and not line.strip("x …")]
    assert 1 <= len(told) <= 3
    assert told[-1] == "…"


def test_report_without_tests():
    written = text.report(record())

    assert_readable(written)
    assert written.startswith("Memory leak report, pytest-memleak 1.2.3\nNo test was checked")


def test_report_says_the_facts_of_a_leak():
    written = text.report(record(entry(verdict(linear(2)))))

    assert_readable(written)
    assert "1 test checked: 1 leak" in written
    for fact in ("LEAK", "tests/test_app.py::test_analyze", "500MB/24h", "live bytes", "RSS", "300 iterations"):
        assert fact in written
    assert "694.4 kB an iteration, 69.4 kB a request" in written
    assert "3,000 requests; judged on 5 h of 5 h" in written
    assert "warning" in written  # the severity


def test_worst_comes_first():
    entries = [
        entry(verdict(), "passing"),
        entry(stopped(150_000_000, available_bytes=100_000_000), "unclear"),
        setup_error("broken"),
        entry(verdict(linear(2)), "leaking"),
    ]

    written = text.report(record(*entries))

    assert_readable(written)
    assert "4 tests checked: 1 leak, 1 error, 1 inconclusive, 1 passed" in written
    sections = [line for line in written.split("\n") if line in {"passing", "unclear", "broken", "leaking"}]
    assert sections == ["leaking", "broken", "unclear", "passing"]
    assert [line.partition(":")[0] for line in text.headlines(entries)] == ["leaking", "broken", "unclear"]


def test_passed_shows_its_rate_too():
    written = text.report(record(entry(verdict(linear(0.3)))))

    assert_readable(written)
    assert "growing, within budget: grows by 150.0 MB/24h" in " ".join(written.split())


def test_table_has_a_row_per_test():
    table = text.summary_table([entry(verdict(), f"test_{i}") for i in range(5)] + [setup_error()])

    assert len(table.split("\n")) == 2 + 6
    assert all(len(line) <= text.WIDTH for line in table.split("\n"))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name(name):
    hostile = HOSTILE[name]

    leak = Verdict(
        outcome="leak",
        message=f"says {hostile}",
        settings=make_settings({}),
        iterations=2,
        samples={"rss_bytes": [1, 2]},
        routes={f"GET /{hostile}": 2, "GET /": 1},
        findings=(Finding(kind="memory_growth", summary=hostile, details=(hostile, "")),),
        notes=(hostile,),
        cause=hostile,
    )
    written = text.report(
        {
            **record(entry(leak, hostile), setup_error(hostile, message=hostile)),
            "not_checked": [f"{hostile}: {hostile}"],
        }
    )

    assert_readable(written)


@given(name=st.text(alphabet=st.characters(), max_size=300))
def test_any_name(name):
    assert_readable(text.report(record(setup_error(name, message=name))))


FOUND = {
    "flat": verdict(),
    "leak": verdict(linear(2)),
    "shrinking": verdict(linear(-2)),
    "gigantic": verdict(linear(5000)),
    "no app": verdict(requests=None),
    "failing requests": verdict(failed_requests=2000),
    "much traffic": verdict(linear(2), traffic="1000000/s"),
    "error": failed(measured(), "the app fell over"),
    "stopped": stopped(10**12),
}


@pytest.mark.parametrize("name", FOUND)
def test_every_verdict_is_readable(name):
    found = FOUND[name]

    written = text.report(record(entry(found)))

    assert_readable(written)
    assert found.outcome in written.lower()


def test_headline_of_a_failing_test_is_the_first_thing_to_know():
    found = text.failure_text(entry(verdict(linear(2))))

    assert found.startswith("memory leak: grows by 1,000 MB/24h")
    assert "\n" not in found


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([1], ""),
        ([100, 100, 100], "▁▁▁"),
        ([10_000, 10_001, 10_000], "▁▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([1e9, 0], "█▁"),
    ],
    ids=repr,
)
def test_sparkline(values, drawn):
    assert text.sparkline(values) == drawn


@given(st.lists(st.integers(0, 2**45), min_size=2, max_size=2000), st.integers(1, 100))
def test_sparkline_fits(values, width):
    drawn = text.sparkline(values, width)

    assert len(drawn) == min(width, len(values))
    assert set(drawn) <= set("▁▂▃▄▅▆▇█")


def test_junit_properties_are_text_and_named_with_their_unit():
    properties = dict(junit.properties(entry(verdict(linear(2)))))

    assert set(properties) == {
        "memleak.verdict", "memleak.growth_mb_per_24h", "memleak.growth_low_mb_per_24h",
        "memleak.growth_high_mb_per_24h", "memleak.budget_mb_per_24h", "memleak.bytes_per_iteration",
        "memleak.bytes_per_request", "memleak.rss_start_mb", "memleak.rss_peak_mb", "memleak.iterations",
        "memleak.simulated_hours", "memleak.requests", "memleak.severity", "memleak.rss_growth_mb_per_24h",
        "memleak.live_growth_mb_per_24h",
    } | ({"memleak.unclosed_clients"} & set(properties))  # fmt: skip
    assert all(type(value) is str for value in properties.values())
    assert properties["memleak.verdict"] == "leak"
    assert properties["memleak.iterations"] == str(LENGTH)
    assert properties["memleak.simulated_hours"] == "5.0"
    assert float(properties["memleak.growth_mb_per_24h"]) == pytest.approx(1000, rel=0.01)


def test_junit_properties_of_an_error_say_only_what_is_known():
    properties = dict(junit.properties(setup_error()))

    assert properties["memleak.verdict"] == "error"
    assert not [name for name in properties if "growth" in name or "rss" in name or "severity" in name]
    assert "None" not in properties.values()
