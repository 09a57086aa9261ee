"""The memory limit that a report recommends: base + 1.2 x (peak - base)."""

from __future__ import annotations

from pytest_memleak.report import text
from pytest_memleak.settings import make_settings
from pytest_memleak.verdict import Verdict


def section(outcome, *, peak_bytes):
    found = Verdict(
        outcome=outcome,
        message="",
        settings=make_settings({}),
        samples={"rss_bytes": [256_000_000, 300_000_000]},
        rss_peak_bytes=peak_bytes,
    )
    return text.section(found.as_dict("test_a.py::test_a"))


def test_limit_is_recommended_for_what_passed():
    written = section("passed", peak_bytes=512_000_000)

    assert "  container   limit 563.2 MB or more: base 256.0 MB + 1.2 x (peak 512.0 MB - base)\n" in f"{written}\n"


def test_no_limit_is_enough_for_a_leak():
    assert "container" not in section("leak", peak_bytes=512_000_000)


def test_no_limit_without_a_peak():
    assert "container" not in section("passed", peak_bytes=None)
