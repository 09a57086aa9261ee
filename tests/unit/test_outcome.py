"""From the deciding look to the verdict and its record."""

from __future__ import annotations

import json

import pytest
from shapes import BUDGET, filling, linear, series

from pytest_memleak.judge.decision import Standing
from pytest_memleak.judge.limits import MemoryGuard
from pytest_memleak.judge.memory import MemoryLook, Readings, look_at_memory
from pytest_memleak.judge.outcome import EarlyStop, Measured, conclude, failed
from pytest_memleak.model import Explanation, Finding, ResourceCount
from pytest_memleak.settings import make_settings
from pytest_memleak.verdict import MemoryLeakError, Verdict

LENGTH = 300


def measured(shape=None, *, failed_requests: int = 0, requests: int | None = 3000, **settings) -> Measured:
    column = [round(value) for value in series(shape or linear(0), LENGTH)]
    return Measured(
        settings=make_settings({"duration": "5h", **settings}),
        readings=Readings(
            rss_bytes=column,
            vms_bytes=column,
            heap_bytes=column,
            blocks=[0] * LENGTH,
            calibrations=(),
            requests=requests or 0,
        ),
        requests_by_iteration=[(requests or 0) // LENGTH * (i + 1) for i in range(LENGTH)],
        requests=requests,
        failed_requests=failed_requests,
        routes={"GET /": requests} if requests else {},
        rss_peak_bytes=max(column) + 1_000_000,
        memory_limit_bytes=2 * 2**30,
        real_s=1.23456,
        total_s=2.0,
    )


def last_look(facts: Measured) -> MemoryLook:
    return look_at_memory(facts.readings, budget=facts.budget_bytes, standing=Standing(), last=True)


def verdict(shape=None, **given) -> Verdict:
    facts = measured(shape, **given)
    return conclude(facts, last_look(facts))


def kinds(found: Verdict) -> list[str]:
    return [finding.kind for finding in found.findings]


def test_flat_passes_and_says_the_rate():
    found = verdict()

    assert found.outcome == "passed"
    assert found.severity == "normal"
    assert kinds(found) == []
    assert "budget 500MB/24h" in found.message
    found.raise_for_leak()


def test_leak_has_rate_budget_and_finding():
    found = verdict(linear(2))

    assert found.outcome == "leak"
    assert kinds(found) == ["memory_growth"]
    assert found.findings[0].fails
    assert found.severity == "warning"
    assert found.message.startswith("grows by 1,000 MB/24h (99 % interval ")
    assert "694.4 kB an iteration, 69.4 kB a request" in found.message
    with pytest.raises(MemoryLeakError, match="grows by"):
        found.raise_for_leak()


@pytest.mark.parametrize(("rate", "line"), [(0.0, "/srv/cache.py:2"), (10.0, "/srv/db.py:9")])
def test_what_is_open_and_does_not_grow_is_not_the_line_of_a_leak(rate, line):
    facts = measured(linear(2))
    count = ResourceCount(
        kind="client", name="x.Client", count_start=1, count_end=1, per_iteration=rate, sites=("/srv/db.py:9",)
    )
    left = Finding(kind="unclosed_client", summary="1 x.Client open", path="/srv/db.py", line=9, fails=True)
    explanation = Explanation(cause="Python objects: 20 MB", top_line="/srv/cache.py:2")

    assert conclude(facts, last_look(facts), ((count,), (left,)), explanation).top_line == line
    assert conclude(facts, last_look(facts), ((count,), (left,))).top_line == "/srv/db.py:9"


def test_inconclusive_says_what_would_decide_it():
    found = verdict(filling(4, until=230))

    assert found.outcome == "inconclusive"
    assert "would decide it" in found.message


def test_steady_growth_below_the_budget_is_shown():
    found = verdict(linear(0.3))

    assert found.outcome == "passed"
    assert kinds(found) == ["growing_within_budget"]
    assert not found.findings[0].fails
    assert found.findings[0].summary.startswith("growing, within budget: grows by 150.0 MB/24h")


def test_traffic_scales_the_rate_to_production():
    # 100 bytes a request at 50 requests a second are 432 MB a day.
    found = verdict(lambda i: 1_000 * i, traffic="50/s", max_growth="1GB/24h")

    assert found.as_dict()["growth"]["live"]["mb_per_24h"] == pytest.approx(432, rel=0.05)
    assert found.as_dict()["budget_mb_per_24h"] == pytest.approx(1000)


@pytest.mark.parametrize(("broken", "outcome"), [(0, "passed"), (1500, "passed"), (1501, "inconclusive")])
def test_more_than_half_failed_requests_say_little(broken, outcome):
    found = verdict(failed_requests=broken)

    assert found.outcome == outcome
    assert ("failed_requests" in kinds(found)) is (outcome == "inconclusive")


def test_failed_requests_allowed():
    assert verdict(failed_requests=3000, allow_errors=True).outcome == "passed"
    assert verdict(linear(3), failed_requests=3000, allow_errors=True).outcome == "leak"


def test_leak_while_requests_fail_is_inconclusive_and_says_both():
    found = verdict(linear(3), failed_requests=2000)

    assert found.outcome == "inconclusive"
    assert kinds(found) == ["failed_requests", "memory_growth"]
    assert "2,000 of 3,000 requests failed" in found.message


def stopped(rss_bytes: int, *, available_bytes: int = 4_000_000_000, **settings) -> Verdict:
    facts = measured(**settings)
    guard = MemoryGuard(
        start_bytes=100_000_000,
        run_budget_bytes=BUDGET * LENGTH,
        available_bytes=available_bytes,
        max_memory_bytes=facts.settings.max_memory_bytes,
    )
    return conclude(facts, EarlyStop(guard=guard, rss_bytes=rss_bytes))


def test_guard_stop_is_a_leak_when_the_whole_runs_budget_is_spent():
    found = stopped(1_200_000_000)

    assert found.outcome == "leak"
    assert kinds(found) == ["memory_limit"]
    assert found.findings[0].fails
    assert found.message == (
        "RSS grew by 1,100 MB and was stopped in iteration 300 of 300 before the machine runs out of memory; the "
        "budget allows 104.2 MB in the whole run"
    )


def test_guard_stop_on_a_small_machine_is_inconclusive():
    found = stopped(150_000_000, available_bytes=100_000_000)

    assert found.outcome == "inconclusive"
    assert not found.findings[0].fails


def test_max_memory_passed_is_a_leak_with_both_numbers():
    found = stopped(310_000_000, max_memory="300MB")

    assert found.outcome == "leak"
    assert found.message == "RSS reached 310.0 MB, above max_memory 300.0 MB, in iteration 300 of 300"


def test_error_keeps_what_is_known():
    found = failed(measured(), "the app fell over")

    assert (found.outcome, found.message) == ("error", "the app fell over")
    assert found.iterations == LENGTH
    assert found.growth is None


def record(found: Verdict, **options) -> dict:
    entry = found.as_dict("test_a.py::test_a", **options)
    assert json.loads(json.dumps(entry)) == entry  # plain builtins: it travels between processes
    return entry


def test_record_has_every_key_whatever_the_verdict():
    entries = [
        record(verdict()),
        record(verdict(linear(2))),
        record(failed(measured(), "no")),
        record(Verdict(outcome="error", message="setup failed", settings=make_settings({}))),
    ]

    assert len({tuple(entry) for entry in entries}) == 1
    assert set(entries[0]) >= {
        "nodeid", "verdict", "settings", "iterations", "requests", "simulated_s", "real_s", "total_s", "message",
        "budget_mb_per_24h", "growth", "severity", "cause", "notes", "routes", "rss", "forecast", "resources",
        "findings", "samples",
    }  # fmt: skip
    assert set(entries[0]["growth"]["live"]) == {
        "mb_per_24h", "low_mb_per_24h", "high_mb_per_24h", "bytes_per_iteration", "low_bytes_per_iteration",
            "high_bytes_per_iteration", "bytes_per_request",
    }  # fmt: skip
    assert set(entries[0]["rss"]) == {"start_bytes", "peak_bytes", "end_bytes"}


def test_record_of_a_test_without_requests():
    entry = record(verdict(linear(2), requests=None))

    assert entry["requests"] is None
    assert entry["growth"]["live"]["bytes_per_request"] is None
    assert entry["growth"]["live"]["mb_per_24h"] == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("all_samples", [False, True])
def test_samples_are_columns_of_one_length_from_first_to_last(all_samples):
    samples = record(verdict(), all_samples=all_samples)["samples"]

    assert len({len(column) for column in samples.values()}) == 1
    assert samples["iteration"][0] == 1
    assert samples["iteration"][-1] == LENGTH
    assert samples["simulated_s"] == [60 * i for i in samples["iteration"]]
    assert {"rss_bytes", "live_bytes"} <= set(samples)


@pytest.mark.parametrize("iterations", [1, 2, 239, 240, 241, 479, 481, 1440, 10_000])
def test_thinned_samples_keep_the_ends(iterations):
    found = Verdict(
        outcome="passed",
        message="",
        settings=make_settings({}),
        iterations=iterations,
        samples={"rss_bytes": range(iterations)},
    )

    samples = found.as_dict()["samples"]
    assert samples["rss_bytes"][0] == 0
    assert samples["rss_bytes"][-1] == iterations - 1
    assert len(samples["rss_bytes"]) <= 480
