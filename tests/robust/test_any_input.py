"""Whatever is given, the errors are the declared ones and a straight line never passes."""

from __future__ import annotations

import math
from array import array

from hypothesis import given
from hypothesis import strategies as st

from pytest_memleak.judge.decision import Standing, looks
from pytest_memleak.judge.memory import Readings, look_at_memory
from pytest_memleak.settings import DEFAULTS, SettingsError, make_settings

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.from_regex(r"[0-9.e+-]{1,9} ?(MB|GiB|s|min|h|d|B)?(/(24h|s|request|iteration|min))?", fullmatch=True),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.binary(max_size=4),
)


@given(st.dictionaries(st.one_of(st.sampled_from(sorted(DEFAULTS)), st.text(max_size=8)), ANYTHING, max_size=5))
def test_any_arguments_are_settings_or_a_clear_error(given_values):
    try:
        settings = make_settings(given_values)
    except SettingsError as error:
        sentence = str(error)
    else:
        assert 60 <= settings.first_look <= settings.last_look <= 1_000_000
        assert 0 < settings.iteration_timeout_s < math.inf
        assert settings.budget_bytes_per_iteration(1.0) > 0
        sentence = str(settings.as_dict())
    assert sentence
    assert "\n" not in sentence


def readings(rss, heap, blocks):
    return Readings(
        rss_bytes=array("q", rss),
        vms_bytes=array("q", rss),
        heap_bytes=array("q", heap),
        blocks=array("q", blocks),
        calibrations=(),
        requests=len(rss),
    )


@given(
    columns=st.integers(0, 80).flatmap(
        lambda length: st.tuples(*[st.lists(st.integers(0, 2**50), min_size=length, max_size=length) for _ in range(3)])
    ),
    budget=st.floats(1e-3, 1e12),
    last=st.booleans(),
)
def test_any_series_is_judged(columns, budget, last):
    rss, heap, blocks = columns
    if rss:
        look = look_at_memory(readings(rss, heap, blocks), budget=budget, standing=Standing(), last=last)
        assert look.outcome in ({"passed", "leak", "inconclusive"} if last else {"continue", "passed"})


@given(
    budget=st.floats(1_000, 1e8),
    times_budget=st.floats(2, 50),
    start=st.integers(20_000_000, 10**9),
    noise=st.randoms(use_true_random=False),
    share=st.floats(0, 0.5),
)
def test_straight_line_above_twice_the_budget_never_passes(budget, times_budget, start, noise, share):
    rate = budget * times_budget
    line = [start + round(rate * (i + share * noise.uniform(-1, 1))) for i in range(300)]
    standing = Standing()
    for done in looks(120, 300):
        look = look_at_memory(
            readings(line[:done], line[:done], [200_000] * done), budget=budget, standing=standing, last=done == 300
        )
        standing = look.standing
        assert look.outcome != "passed"
    assert look.outcome == "leak"
