"""The JSON record: valid by the schema that ships, readable by every parser, refused when it is damaged."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import fabricated
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memleak.report.record import RecordError, dumps, loads, merge
from pytest_memleak.report.schema import first_problem, record_schema

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "record.md").read_text(encoding="utf-8")
VALIDATOR = jsonschema.Draft202012Validator(record_schema())
COMPLETE = fabricated.record(fabricated.entry(700_000), fabricated.entry(0, "passing"), fabricated.failed_entry())


def test_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(record_schema())


def test_record_is_valid_and_comes_back():
    written = dumps(COMPLETE)

    VALIDATOR.validate(json.loads(written))
    assert loads(written, "out.json") == json.loads(written)
    assert loads(written, "out.json")["tests"][0]["verdict"] == "leak"


def test_column_is_one_line():
    lines = dumps(COMPLETE).splitlines()

    assert max(line.count(",") for line in lines) >= fabricated.LENGTH - 1
    assert len(lines) < 600


@pytest.mark.parametrize("name", fabricated.HOSTILE)
def test_hostile_text(name):
    hostile = fabricated.HOSTILE[name]
    written = dumps(fabricated.record(fabricated.entry(700_000, hostile, text=hostile)))

    read = json.loads(written.encode("utf-8"))
    VALIDATOR.validate(read)
    assert read["tests"][0]["nodeid"] == hostile.encode("utf-8", "backslashreplace").decode("utf-8")


def test_numbers_that_json_has_no_form_for():
    odd = fabricated.entry(0)
    odd["budget_mb_per_24h"] = float("nan")
    odd["samples"]["rss_bytes"] = [1.0, float("inf"), 2.0]

    read = loads(dumps(fabricated.record(odd)), "out.json")["tests"][0]

    assert read["budget_mb_per_24h"] is None
    assert read["samples"]["rss_bytes"] == [1.0, None, 2.0]


def keys_of(value: object) -> set[str]:
    """The keys at every level, but not those that are names of the user's."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if not isinstance(value, dict):
        return set()
    names = {"routes", "samples", "rss_bytes_after_hours"}
    return set(value).union(*(keys_of(each) for key, each in value.items() if key not in names))


def test_every_key_is_documented_and_in_the_schema():
    described = set(re.findall(r'"(\w+)":', json.dumps(record_schema())))
    columns = {name for entry in COMPLETE["tests"] for name in entry["samples"]}

    assert keys_of(COMPLETE) - described == set()
    assert {key for key in keys_of(COMPLETE) | columns if f"`{key}`" not in DOCUMENTATION} == set()


DAMAGED = {
    "": "out.json is not JSON, or is damaged: ",
    '{"schema": 1, "tests"': "out.json is not JSON, or is damaged: ",
    "[" * 100_000: "out.json is not JSON, or is damaged: ",
    "[]": "out.json is not a record: it has no list 'tests'",
    '{"schema": 1}': "out.json is not a record: it has no list 'tests'",
    '{"schema": "1", "tests": []}': "out.json is damaged: its 'schema' is '1' and must be a number",
    '{"schema": 2, "tests": []}': "out.json has schema 2, and this pytest-memleak reads up to 1; upgrade",
    '{"schema": 1, "tests": {}}': "out.json is damaged: the record has no 'tool'",
}


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_or_newer_record(text):
    with pytest.raises(RecordError) as raised:
        loads(text, "out.json")

    assert str(raised.value).startswith(DAMAGED[text])


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The path to every value but the samples."""
    inside: list[tuple] = []
    if isinstance(value, dict):
        inside = [found for key, each in value.items() for found in places(each, (*path, key)) if key != "samples"]
    elif isinstance(value, list):
        inside = [found for index, each in enumerate(value) for found in places(each, (*path, index))]
    return [path, *inside]


@given(st.sampled_from(places(COMPLETE)[1:]), st.sampled_from([None, True, -1, 1.5, "x", [], {}, [1], {"x": 1}]))
def test_own_check_agrees_with_the_schema(path, wrong):
    changed = copy.deepcopy(COMPLETE)
    target = changed
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = wrong

    assert (first_problem(changed) is None) == VALIDATOR.is_valid(changed)


def test_merged_shards():
    first = fabricated.record(fabricated.entry(0, "a"), fabricated.entry(0, "b"), not_checked=["x: why"])
    second = fabricated.record(fabricated.entry(700_000, "b"), fabricated.failed_entry("c"), not_checked=["x: why"])

    merged = merge([first, second])

    VALIDATOR.validate(merged)
    assert [(test["nodeid"], test["verdict"]) for test in merged["tests"]] == [
        ("a", "passed"),
        ("b", "leak"),
        ("c", "error"),
    ]
    assert merged["tests"][1]["notes"][-1] == "checked in several shards; this is the worst of its verdicts"
    assert merged["not_checked"] == ["x: why"]
