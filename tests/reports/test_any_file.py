"""Whatever a record, a baseline or a series holds: it is read, or refused in one sentence."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
from collections.abc import Callable
from typing import Any

import fabricated
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memleak import baseline
from pytest_memleak.cli import FINE, LEAK, MISTAKE, main
from pytest_memleak.report.record import dumps

MINUTE_S = 60
START_S = 1_790_000_000
COMMANDS = (
    ("analyze", "{file}"),
    ("analyze", "{file}", "--json"),
    ("merge", "{file}", "{good}"),
    ("merge", "{good}", "{file}", "--json"),
    ("compare", "{file}", "{good}"),
    ("compare", "{good}", "{file}"),
)


def small_record() -> dict[str, Any]:
    """A record with everything in it and few samples."""
    made = fabricated.record(fabricated.entry(700_000), fabricated.entry(0, "passing"), fabricated.failed_entry())
    for entry in made["tests"]:
        entry["samples"] = {name: column[::40] for name, column in entry["samples"].items()}
    compared = baseline.compare_record(baseline.from_record(made, "before"), made, 0.1)
    return {**made, "baseline": compared}


RECORD = json.loads(dumps(small_record()))
BASELINE = json.loads(baseline.dumps(small_record()))
SERIES = {
    "status": "success",
    "data": {
        "resultType": "matrix",
        "result": [
            {
                "metric": {"job": "api"},
                "values": [[START_S + MINUTE_S * i, str(2e8 + 1e4 * i)] for i in range(70)],
            }
        ],
    },
}
NUMBERS = st.one_of(
    st.floats(), st.integers(), st.sampled_from([0, -1, 10**18, 10**29, -(10**29), 10**400, 1e308, -1e308, 5e-324])
)
WRONG = st.one_of(
    NUMBERS,
    NUMBERS,
    st.sampled_from([None, True, "", "x", "1e999", "nan", "\ud800", "\0", [], {}, [None], [1, 2], {"x": 1}]),
)
FIELDS = st.one_of(
    st.floats().map(str),
    st.sampled_from(["", "x", '"', "1e-400", "-5", "1e18", "0001-01-01", "9999-12-31T23:59:59-14:00", "1e300TB", "٣"]),
)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The path to every value inside; of a long list to the first ones."""
    inside: list[tuple] = []
    if isinstance(value, dict):
        inside = [found for key, each in value.items() for found in places(each, (*path, key))]
    elif isinstance(value, list):
        inside = [found for index, each in enumerate(value[:4]) for found in places(each, (*path, index))]
    return [path, *inside]


def changed(whole: Any, changes: list[tuple[tuple, object]]) -> Any:
    """A copy with other values at these places, as far as they are still there."""
    whole = copy.deepcopy(whole)
    for path, wrong in changes:
        target = whole
        try:
            for key in path[:-1]:
                target = target[key]
            target[path[-1]] = copy.deepcopy(wrong)
        except (IndexError, KeyError, TypeError):
            continue
    return whole


def changes_of(whole: object) -> st.SearchStrategy[Any]:
    one = st.tuples(st.sampled_from(places(whole)[1:]), WRONG)
    return st.lists(one, min_size=1, max_size=2).map(lambda changes: changed(whole, changes))


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Callable[..., str]:
    """What a command says of a file; the exit code is one that is documented."""
    folder = tmp_path_factory.mktemp("files")
    file, good = folder / "file", folder / "good.json"

    def run(content: str, *command: str, beside: object = RECORD) -> str:
        file.write_text(content, encoding="utf-8", errors="surrogatepass")
        good.write_text(json.dumps(beside), encoding="utf-8")
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([part.format(file=file, good=good) for part in command])
        assert code in (FINE, LEAK, MISTAKE)
        assert (code == MISTAKE) == err.getvalue().startswith("error: ")
        assert err.getvalue().count("\n") == (code == MISTAKE)
        return err.getvalue()

    return run


@given(content=changes_of(RECORD), command=st.sampled_from(COMMANDS))
def test_any_record(told, content, command):
    told(json.dumps(content), *command)


@given(content=changes_of(BASELINE), command=st.sampled_from(COMMANDS[-2:]))
def test_any_baseline(told, content, command):
    told(json.dumps(content), *command, beside=BASELINE)


@given(content=changes_of(SERIES), more=st.sampled_from([(), ("--json",), ("--no-restarts",), ("--traffic=5e9/s",)]))
def test_any_prometheus_answer(told, content, more):
    told(json.dumps(content), "analyze", "{file}", *more)


@given(
    fields=st.lists(st.tuples(st.integers(0, 69), st.integers(0, 1), FIELDS), min_size=1, max_size=5),
    heading=st.sampled_from(["", "time,rss_tb\n", "a,b\n", '",x\n']),
    more=st.sampled_from([(), ("--json",), ("--no-restarts",)]),
)
def test_any_csv(told, fields, heading, more):
    rows = [[str(START_S + MINUTE_S * i), str(2e8 + 1e4 * i)] for i in range(70)]
    for row, column, field in fields:
        rows[row][column] = field
    told(heading + "".join(",".join(row) + "\n" for row in rows), "analyze", "{file}", *more)


@given(st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape")), st.sampled_from(COMMANDS))
def test_any_text(told, content, command):
    told(content, *command)


REFUSED = {
    json.dumps({**RECORD, "deep": math.nan}): "NaN is not a number of this world",
    json.dumps({**RECORD, "deep": 10**400}): "100000000000000000000000 is not a number of this world",
    json.dumps(RECORD)[:-1] + ', "deep": ' + "[" * 900 + "]" * 900 + "}": "recursion",
    '1790000000,"200000000' + "0" * 200_000: "field larger than field limit",
    "".join(f"{START_S + i * MINUTE_S},1e{280 + i // 60}\n" for i in range(70)): "which is no time and no memory",
}


@pytest.mark.parametrize("content", REFUSED, ids=range(len(REFUSED)))
def test_refused(told, content):
    assert REFUSED[content] in told(content, "analyze", "{file}")
