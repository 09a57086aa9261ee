"""Baselines: growth per request, compared with intervals, kept in a file that people can read."""

from __future__ import annotations

import json
from pathlib import Path

import fabricated
import pytest

from pytest_memleak.baseline import (
    BaselineError,
    compare,
    compare_record,
    dumps,
    from_record,
    judged,
    load,
)
from pytest_memleak.report import record as json_record

PER_REQUEST = fabricated.REQUESTS


def growth_of(bytes_per_request: float, *, seed: int = 1):
    """The growth of one test in a run."""
    found = fabricated.record(fabricated.entry(bytes_per_request * PER_REQUEST, seed=seed, max_growth="1GB/h"))
    return from_record(found, "now").tests["tests/test_app.py::test_analyze"]


@pytest.mark.parametrize("before", [0, 300, 5_000])
def test_noise_is_no_regression(before):
    old = growth_of(before)

    for seed in range(2, 12):
        assert compare(old, growth_of(before, seed=seed), 0.0).status == "unchanged"


CHANGES = [
    (0, 400, None, "grown"),
    (0, 400, 0.1, "regression"),
    (1_000, 2_000, 0.1, "regression"),
    (1_000, 2_000, 2.0, "grown"),
    (10_000, 10_700, 0.1, "grown"),
    (10_000, 11_700, 0.1, "regression"),
    (2_000, 1_000, 0.1, "improved"),
    (1_000, 1_010, 0.0, "unchanged"),
    (-2_000, 0, 0.0, "unchanged"),
]


@pytest.mark.parametrize(("before", "now", "fail_over", "status"), CHANGES)
def test_change(before, now, fail_over, status):
    assert compare(growth_of(before), growth_of(now, seed=9), fail_over).status == status


def test_summary_has_both_rates_and_the_interval():
    summary = compare(growth_of(1_000), growth_of(2_000, seed=9), 0.1).summary

    assert summary.startswith("live grows by 2.0 kB per request, 1.0 kB in the baseline: 1.0 kB more, ± ")


def test_not_comparable():
    per_iteration = fabricated.entry(1_000)
    per_iteration["requests"] = None
    other = from_record(fabricated.record(per_iteration), "").tests["tests/test_app.py::test_analyze"]

    assert compare(None, growth_of(0)).summary == "nothing was measured in the baseline"
    assert compare(growth_of(0), None).summary == "nothing was measured now"
    assert compare(growth_of(0), other).summary == "measured per iteration now, per request in the baseline"


def saved(tmp_path: Path, *entries: dict) -> Path:
    path = tmp_path / "main.json"
    path.write_text(dumps(fabricated.record(*entries)), encoding="utf-8")
    return path


def test_saved_file_reads_well_in_a_diff(tmp_path):
    path = saved(tmp_path, fabricated.entry(1_000, "b"), fabricated.entry(0, "a"), fabricated.failed_entry("broken"))
    later = fabricated.record(fabricated.entry(0, "a"), fabricated.entry(1_000, "b"))
    later["environment"]["started"] = "2027-01-01 00:00 UTC"

    content = json.loads(path.read_text(encoding="utf-8"))
    assert list(content["tests"]) == ["a", "b"]  # sorted; what measured nothing is no baseline
    assert content["tests"]["b"]["per"] == "request"
    assert content["tests"]["b"]["live"]["bytes"] == pytest.approx(100, abs=5)
    assert path.read_text(encoding="utf-8") == dumps(later)  # nothing in it changes by itself
    assert load(path).tests["b"].rates["live"].rate == content["tests"]["b"]["live"]["bytes"]


def test_record_serves_as_baseline(tmp_path):
    path = tmp_path / "out.json"
    path.write_text(json_record.dumps(fabricated.record(fabricated.entry(1_000, "a"))), encoding="utf-8")

    assert list(load(path).tests) == ["a"]


DAMAGED = {
    "": "is not JSON, or is damaged",
    '{"kind": "pytest-memleak baseline", "schema": 1, "tests"': "is not JSON, or is damaged",
    '{"kind": "pytest-memleak baseline", "schema": 2, "tests": {}}': "has schema 2, and this pytest-memleak reads up",
    '{"kind": "pytest-memleak baseline", "tests": {}}': "is damaged: its 'schema' is None",
    '{"kind": "pytest-memleak baseline", "schema": 1, "tests": {"a": {}}}': "is damaged: the entry of 'a'",
    '{"kind": "pytest-memleak baseline", "schema": 1, "tests": {"a": {"per": "day"}}}': "is damaged: the entry of 'a'",
    '{"kind": "pytest-memleak baseline", "schema": 1, "tests": []}': "is damaged: it has no tests by name",
    '{"kind": "something else"}': "is not a record",
    "\udcff": "cannot be read: it is not UTF-8 text",
}


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_or_newer_file(tmp_path, content):
    path = tmp_path / "main.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))

    with pytest.raises(BaselineError) as raised:
        load(path)

    assert str(raised.value).startswith(f"{path} {DAMAGED[content]}")
    assert path.read_bytes() == content.encode("utf-8", "surrogateescape")


def statuses(old: list[dict], new: list[dict]) -> dict[str, str]:
    baseline = from_record(fabricated.record(*old), "main")
    rows = compare_record(baseline, fabricated.record(*new), 0.1)["tests"]
    return {row["nodeid"]: row["status"] for row in rows}


def test_new_gone_and_renamed_tests_are_said():
    old = [
        fabricated.entry(0, name) for name in ("a.py::test_kept", "a.py::test_moved", "a.py::test_speled", "x.py::gone")
    ]
    new = [
        fabricated.entry(0, name) for name in ("a.py::test_kept", "b.py::test_moved", "a.py::test_spelled", "y.py::q")
    ]

    assert statuses(old, new) == {
        "a.py::test_kept": "unchanged",
        "b.py::test_moved": "renamed",
        "a.py::test_spelled": "renamed",
        "y.py::q": "new",
        "x.py::gone": "gone",
    }


def test_two_new_names_do_not_share_an_old_one():
    old = [fabricated.entry(0, "a.py::test_one")]
    new = [fabricated.entry(0, "b.py::test_one"), fabricated.entry(0, "c.py::test_one")]

    assert sorted(statuses(old, new).values()) == ["new", "renamed"]


@pytest.mark.parametrize("name", fabricated.HOSTILE)
def test_hostile_name(tmp_path, name):
    hostile = fabricated.HOSTILE[name]
    baseline = load(saved(tmp_path, fabricated.entry(0, hostile)))

    compared = compare_record(baseline, fabricated.record(fabricated.entry(0, hostile)), None)

    assert [row["status"] for row in compared["tests"]] == ["unchanged"]


def test_regression_makes_the_verdict_a_leak():
    baseline = from_record(fabricated.record(fabricated.entry(0, "a")), "main")
    grown = fabricated.verdict(20_000, max_growth="1GB/h")
    assert grown.outcome == "passed"

    regressed = judged(grown, "a", baseline, 0.1)
    only_told = judged(grown, "a", baseline, None)

    assert (regressed.outcome, only_told.outcome) == ("leak", "passed")
    assert regressed.message.startswith("live grows by 2.0 kB per request")
    assert regressed.message.endswith("(baseline 'main')")
    for verdict in (regressed, only_told):
        assert [finding.kind for finding in verdict.findings][-1] == "baseline_regression"
    assert judged(grown, "other", baseline, 0.1) == grown
