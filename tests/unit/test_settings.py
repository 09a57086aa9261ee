"""Values become settings; every mistake becomes one sentence."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_memleak.settings import PROFILES, SettingsError, make_settings, validate


def test_defaults():
    settings = make_settings({})

    assert settings.profile == "standard"
    assert (settings.first_look, settings.last_look) == (240, 1440)
    assert settings.step_s == 60
    assert settings.duration_s == 86_400
    assert settings.max_growth.text == "500MB/24h"
    assert settings.budget_bytes_per_iteration(10) == pytest.approx(500e6 / 1440)
    assert settings.iterations_per_24h(10) == 1440
    assert settings.inconclusive == "warn"
    assert not settings.allow_errors


@pytest.mark.parametrize(("profile", "looks"), PROFILES.items())
def test_profile_sets_the_looks(profile, looks):
    settings = make_settings({"profile": profile})

    assert (settings.first_look, settings.last_look) == looks


@pytest.mark.parametrize(
    ("values", "looks"),
    [
        ({"duration": "5h"}, (240, 300)),
        ({"duration": "2h"}, (120, 120)),
        ({"duration": "1h"}, (60, 60)),
        ({"step": "10min"}, (144, 144)),
        ({"step": "30s"}, (240, 2880)),
        ({"duration": "10h", "profile": "quick"}, (120, 600)),
        ({"duration": "3h", "step": "1s"}, (240, 10_800)),
        ({"duration": 6000, "step": 60}, (100, 100)),
    ],
)
def test_duration_and_step_set_the_last_look(values, looks):
    settings = make_settings(values)

    assert (settings.first_look, settings.last_look) == looks


def test_none_means_not_given():
    assert make_settings(dict.fromkeys(["profile", "duration", "step", "max_growth"])) == make_settings({})


def test_traffic_scales_a_day():
    settings = make_settings({"traffic": "50/s"})

    assert settings.iterations_per_24h(10) == 50 * 86_400 / 10
    assert settings.iterations_per_24h(0) == 1440  # no request: nothing to scale by


def test_traffic_and_no_requests_fall_back_to_simulated_time():
    # One rate and one budget: a test without requests is judged by its iterations in both.
    with_traffic, without = make_settings({"traffic": "50/s"}), make_settings({})

    assert with_traffic.budget_bytes_per_iteration(0) == without.budget_bytes_per_iteration(0)


@pytest.mark.parametrize(
    ("value", "meaning"),
    [(True, True), (False, False), ("true", True), ("No", False), (" on ", True), ("0", False)],
)
def test_booleans(value, meaning):
    assert make_settings({"allow_errors": value}).allow_errors is meaning


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"profile": "fast"}, "profile: 'fast' is not one of standard, quick, soak, full"),
        ({"profile": []}, "profile: [] is not one of standard, quick, soak, full"),
        ({"inconclusive": "ignore"}, "inconclusive: 'ignore' is not one of warn, fail"),
        ({"allow_errors": "maybe"}, "allow_errors: 'maybe' is not true or false"),
        (
            {"max_growth": "500MB"},
            "max_growth: '500MB' is not a growth budget; write <size>/<per> with per = s, min, h, 24h, day, iteration "
            "or request, like '500MB/24h' or '64B/request'",
        ),
        ({"duration": "long"}, "duration: 'long' is not a duration; write a number with s, min, h or d, like '24h'"),
        ({"step": 0}, "step: 0 is not a duration; write a number with s, min, h or d, like '24h'"),
        (
            {"traffic": 50},
            "traffic: 50 is not a request rate; write <number>/<per> with per = s, min, h or day, like '50/s'",
        ),
        (
            {"memory_limit": "2 gigs"},
            "memory_limit: '2 gigs' is not a size; write a number with B, kB, MB, GB, KiB, MiB or GiB, like '512MB'",
        ),
        (
            {"duration": "30min"},
            "duration / step is 30 iterations; a growth rate needs 60 to 1,000,000: change duration (1800 s) or step "
            "(60 s)",
        ),
        (
            {"step": "1ms"},
            "duration / step is 86,400,000 iterations; a growth rate needs 60 to 1,000,000: change duration (86400 s) "
            "or step (0.001 s)",
        ),
    ],
)
def test_mistake_is_one_sentence(values, sentence):
    with pytest.raises(SettingsError) as raised:
        make_settings(values)

    assert str(raised.value) == sentence


def test_unknown_argument_names_those_there_are():
    with pytest.raises(SettingsError, match=r"^memleak has no argument 'budget'; it takes .*\bmax_growth\b"):
        validate({"budget": "500MB/24h"})


@pytest.mark.parametrize("outcome", ["passed", "leak", "inconclusive", "error", "not_measured"])
def test_which_verdicts_fail(outcome):
    warns, fails = make_settings({}), make_settings({"inconclusive": "fail"})

    assert warns.fails_test(outcome) is (outcome in ("leak", "error"))
    assert fails.fails_test(outcome) is (outcome in ("leak", "error", "inconclusive"))


def test_settings_are_frozen_and_plain_in_the_record():
    settings = make_settings({"max_growth": "64B/request", "traffic": "50/s", "max_memory": "1GB"})

    assert settings.as_dict()["max_growth"] == "64B/request"
    assert settings.as_dict()["max_memory_bytes"] == 10**9
    assert {type(value) for value in settings.as_dict().values()} <= {str, int, float, bool, list, type(None)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.profile = "quick"
