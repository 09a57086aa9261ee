"""The run audits itself: each thing that speaks against a verdict is said, and the gravest take it back."""

from __future__ import annotations

import pytest

from pytest_memleak.judge.audit import audited
from pytest_memleak.model import Finding, Growth
from pytest_memleak.settings import make_settings
from pytest_memleak.verdict import Verdict

MB = 1_000_000
ITERATIONS = 300


def verdict(outcome="passed", live=lambda i: 0, *, sent=lambda i: 10, rate=0.0, peak=None, **given) -> Verdict:
    """A verdict on 300 iterations of 10 requests, whose live bytes follow `live`."""
    total, requests = 0, []
    for i in range(ITERATIONS):
        total += sent(i)
        requests.append(total)
    column = [60 * MB + live(i) for i in range(ITERATIONS)]
    growth = Growth(bytes_per_iteration=rate, low_bytes_per_iteration=rate, high_bytes_per_iteration=rate)
    leak = Finding(kind="memory_growth", summary="grows", fails=True)
    return Verdict(
        outcome=outcome,
        message="grows",
        settings=make_settings({"duration": "5h"}),
        iterations=ITERATIONS,
        requests=total,
        budget_bytes_per_iteration=347_000.0,
        growth=growth,
        live=growth,
        findings=(leak,) if outcome == "leak" else (),
        samples={"requests": requests, "rss_bytes": column, "live_bytes": column},
        rss_peak_bytes=peak,
        **given,
    )


def test_quiet_run_has_nothing_against_itself():
    quiet = verdict()

    assert audited(quiet) == quiet


@pytest.mark.parametrize(
    ("found", "note"),
    [
        (
            verdict(failed_requests=300),
            "300 of 3,000 requests failed (10%) with an unhandled exception or a 5xx status",
        ),
        (verdict(sent=lambda i: 10 * (i % 2)), "no request reached the app in 150 of 300 iterations"),
        (verdict(peak=3_100 * MB), "retains 0 B, but peaked at 3,100 MB between two samples: a container is killed by"),
        (
            verdict("leak", lambda i: 500 * i, rate=500.0),
            "the growth of 500 B an iteration is close to what the sensors waver by; confirm it with profile soak",
        ),
        (
            verdict(live=lambda i: 90 * MB * (i % 10 == 0)),
            "memory had not settled: it falls by up to 90.0 MB in the last third; the budget allows 34.7 MB there",
        ),
        (
            verdict("leak", lambda i: 9 * MB * i, rate=9e6),
            None,
        ),
    ],
)
def test_note_beside_the_verdict(found, note):
    after = audited(found)

    assert after.outcome == found.outcome
    assert [text[: len(note)] for text in after.notes] == [note] if note else after.notes == ()


def test_error_path():
    (note,) = audited(verdict(), refused_requests=2_700).notes

    assert note == "2,700 of 3,000 requests were answered 4xx (90%): mostly the error path was measured"


def test_limit_that_ended_the_run():
    stopped = verdict("inconclusive")
    finding = Finding(kind="memory_limit", summary="stopped")

    (note,) = audited(
        Verdict(outcome="leak", message="", settings=stopped.settings, iterations=12, findings=(finding,))
    ).notes

    assert note.startswith("a memory limit ended the run after 12 of 300 iterations")


def test_one_iteration_that_carries_the_slope_takes_the_leak_back():
    after = audited(verdict("leak", lambda i: 40 * MB * (i >= 200) + 1_000 * i, rate=4e5))

    assert after.outcome == "inconclusive"
    assert after.message.startswith("iteration 201 alone added 40.0 MB of the 40.3 MB")
    assert after.findings == ()


def test_traffic_that_ended_takes_the_pass_back():
    after = audited(verdict(sent=lambda i: 10 * (i < 100)))

    assert after.outcome == "inconclusive"
    assert after.message.startswith("no request reached the app after iteration 100 of 300, so that nothing could grow")
