"""Sizes, durations, budgets and traffic, and what is none of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memleak.units import (
    UnitError,
    format_bytes,
    format_duration,
    parse_budget,
    parse_duration,
    parse_size,
    parse_traffic,
)

NEITHER = ["", " ", "MB", "-1MB", "1.2.3MB", "1 MB MB", "nan", "inf", "1e999", "0x10", "five", "10%", "1\n2", "١٢MB"]
NO_TEXT = [None, True, False, [], {}, b"1MB", float("nan"), float("inf"), -1, 0]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        (1, 1),
        (1.5e3, 1500),
        ("512B", 512),
        ("64 kB", 64_000),
        ("500MB", 500_000_000),
        ("500mb", 500_000_000),
        ("1.5 GB", 1_500_000_000),
        ("2TB", 2 * 10**12),
        ("1KiB", 1024),
        ("1MiB", 2**20),
        ("2GiB", 2**31),
        ("1TiB", 2**40),
        (" 1_000_000 ", 1_000_000),
        ("1,000kB", 1_000_000),
        ("1e6", 1_000_000),
    ],
    ids=repr,
)
def test_size(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", [*NEITHER, *NO_TEXT, "0", "0MB", "0.4B", "5 min", "1MB/24h"], ids=repr)
def test_no_size(text):
    with pytest.raises(UnitError) as raised:
        parse_size(text)

    expected = f"{text!r} is not a size; write a number with B, kB, MB, GB, KiB, MiB or GiB, like '512MB'"
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90),
        ("90", 90),
        (0.5, 0.5),
        ("500ms", 0.5),
        ("1s", 1),
        ("2 sec", 2),
        ("1 second", 1),
        ("1m", 60),
        ("1min", 60),
        ("5 minutes", 300),
        ("24h", 86_400),
        ("1 hour", 3600),
        ("1d", 86_400),
        ("2days", 172_800),
        ("0.5h", 1800),
    ],
    ids=repr,
)
def test_duration(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", [*NEITHER, *NO_TEXT, "0s", "-1h", "5MB", "1w", "1h30"], ids=repr)
def test_no_duration(text):
    with pytest.raises(UnitError) as raised:
        parse_duration(text)

    assert str(raised.value) == f"{text!r} is not a duration; write a number with s, min, h or d, like '24h'"


@pytest.mark.parametrize(
    ("text", "bytes_per_minute"),
    [
        ("500MB/24h", 500e6 / 1440),
        ("500MB/day", 500e6 / 1440),
        ("500MB/d", 500e6 / 1440),
        ("1kB/s", 60_000),
        ("1kB/min", 1000),
        ("60kB/h", 1000),
        ("1 MiB / 2h", 2**20 / 120),
        ("1kB/iteration", 1000),
        ("64B/request", 640),
        ("0.5B/REQUEST", 5),
    ],
    ids=repr,
)
def test_budget(text, bytes_per_minute):
    budget = parse_budget(text)

    assert budget.bytes_per_iteration(step_s=60, requests_per_iteration=10, traffic_per_s=None) == pytest.approx(
        bytes_per_minute
    )
    assert budget.text == text.strip()


def test_budget_per_time_scales_with_the_step():
    budget = parse_budget("24MB/24h")

    assert budget.bytes_per_iteration(step_s=3600, requests_per_iteration=10, traffic_per_s=None) == pytest.approx(1e6)


def test_budget_per_time_with_traffic_is_what_the_requests_stand_for():
    # 10 requests are 0.2 s of a production that serves 50 a second.
    budget = parse_budget("432MB/24h")

    allowed = budget.bytes_per_iteration(step_s=60, requests_per_iteration=10, traffic_per_s=50)

    assert allowed == pytest.approx(1000)  # 100 bytes a request at 50 requests a second are 432 MB a day


def test_budget_per_request_and_per_iteration_do_not_depend_on_traffic():
    for text, allowed in (("64B/request", 640), ("1kB/iteration", 1000)):
        budget = parse_budget(text)

        assert budget.bytes_per_iteration(step_s=60, requests_per_iteration=10, traffic_per_s=50) == allowed


@pytest.mark.parametrize(
    "text",
    [
        *NEITHER,
        *NO_TEXT,
        500,
        "500MB",
        "500/24h",
        "500MB/",
        "/24h",
        "MB/24h",
        "0MB/24h",
        "500MB/0h",
        "500MB/week",
        "500MB/24h/2",
        "5min/24h",
        "-5MB/24h",
        "500MB/requests/h",
    ],
    ids=repr,
)
def test_no_budget(text):
    with pytest.raises(UnitError) as raised:
        parse_budget(text)

    assert str(raised.value) == (
        f"{text!r} is not a growth budget; write <size>/<per> with per = s, min, h, 24h, day, iteration or "
        "request, like '500MB/24h' or '64B/request'"
    )


@pytest.mark.parametrize(
    ("text", "per_second"),
    [("50/s", 50), ("600/min", 10), ("3600/h", 1), ("86400/day", 1), ("0.5/s", 0.5), ("1,000/s", 1000), ("10/2s", 5)],
    ids=repr,
)
def test_traffic(text, per_second):
    assert parse_traffic(text) == pytest.approx(per_second)


@pytest.mark.parametrize(
    "text", [*NEITHER, *NO_TEXT, 50, "50", "50/", "/s", "0/s", "-1/s", "50/request", "50kB/s"], ids=repr
)
def test_no_traffic(text):
    with pytest.raises(UnitError) as raised:
        parse_traffic(text)

    assert str(raised.value) == (
        f"{text!r} is not a request rate; write <number>/<per> with per = s, min, h or day, like '50/s'"
    )


@given(st.text())
def test_any_text_is_a_quantity_or_a_clear_error(text):
    for parse in (parse_size, parse_duration, parse_budget, parse_traffic):
        try:
            value = parse(text)
        except UnitError:
            continue
        assert value


@given(st.integers(1, 10**15))
def test_plain_numbers_are_bytes_and_seconds(number):
    assert parse_size(number) == parse_size(str(number)) == number
    assert parse_duration(number) == number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (712, "712 B"),
        (-712, "-712 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),
        (1000, "1.0 kB"),
        (34_700, "34.7 kB"),
        (999_400, "999.4 kB"),
        (999_960, "1.0 MB"),
        (1e6, "1.0 MB"),
        (-2.5e6, "-2.5 MB"),
        (1_204_000_000, "1,204 MB"),
    ],
    ids=repr,
)
def test_format_bytes(value, text):
    assert format_bytes(value) == text


@given(st.floats(-1e13, 1e13))
def test_formatted_size_is_the_size(value):
    number, unit = format_bytes(value).replace(",", "").split(" ")

    scale = {"B": 1, "kB": 1e3, "MB": 1e6}[unit]
    assert float(number) * scale == pytest.approx(value, rel=0.05, abs=0.6)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "0.5 s"),
        (45, "45 s"),
        (60, "1 min"),
        (90, "1.5 min"),
        (1800, "30 min"),
        (3600, "1 h"),
        (86_400, "24 h"),
        (5 * 3600, "5 h"),
        (2 * 86_400, "2 days"),
        (216_000, "2.5 days"),
        (10_000 * 86_400, "10,000 days"),
    ],
    ids=repr,
)
def test_format_duration(seconds, text):
    assert format_duration(seconds) == text
