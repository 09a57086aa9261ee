"""The JSON record of a session: written, read back, and the records of several machines made one. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_memleak.report.schema import first_problem

SCHEMA = 1
"""Raised when a key changes its meaning or goes; a new key does not raise it."""

_COLUMN = re.compile(r"\[\n[-+.\deE,\s]*\]")
"""A list of numbers in indented JSON; a text in it has no line break that is not escaped."""
_TOO_LARGE = 1e30
"""More than any memory, in bytes a day; what is calculated with numbers below it stays finite."""
_SHOWN = 24
_WORST_FIRST = ("leak", "error", "inconclusive", "not_measured", "passed")


class RecordError(ValueError):
    """A text is not a record that can be read; the message says which and why."""


def dumps(record: Mapping[str, Any]) -> str:
    """The record as JSON that every parser reads: no NaN, no lone surrogate.

    Args:
        record: plain builtins.
    """
    text = json.dumps(portable(record), ensure_ascii=False, allow_nan=False, indent=1)
    return _COLUMN.sub(lambda column: " ".join(column[0].split()), text) + "\n"


def loads(text: str, name: str) -> dict[str, Any]:
    """The record in a text.

    Args:
        text: what `dumps` wrote.
        name: of the file, for the message.

    Raises:
        RecordError: for a text that is damaged, something else, or written by a newer version.
    """
    record = parse(text, name)
    if not isinstance(record, dict) or "tests" not in record:
        raise RecordError(f"{name} is not a record: it has no list 'tests'; --memcheck-json writes one")
    check_schema(record, name)
    if problem := first_problem(record):
        raise RecordError(f"{name} is damaged: {problem}")
    return record


def parse(text: str, name: str) -> Any:
    """The value in a JSON text, with numbers that can be calculated with.

    Raises:
        RecordError: for a text that is not JSON, is nested too deep, or holds NaN or a number without measure.
    """
    try:
        return portable(json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=_real))
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{name} is not JSON, or is damaged: {error}") from None


def _real(text: str) -> float:
    value = float(text)
    if not abs(value) < _TOO_LARGE:
        raise ValueError(f"{text[:_SHOWN]} is not a number of this world")
    return value


def _whole(text: str) -> int:
    _real(text)
    return int(text)


def check_schema(written: Mapping[str, Any], name: str, known: int = SCHEMA) -> None:
    """Refuse what a newer version wrote.

    Raises:
        RecordError: for a schema that is missing or newer.
    """
    schema = written.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise RecordError(f"{name} is damaged: its 'schema' is {schema!r} and must be a number")
    if schema > known:
        raise RecordError(
            f"{name} has schema {schema}, and this pytest-memleak reads up to {known}; upgrade pytest-memleak"
        )


def merge(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One record of the shards of a run.

    Args:
        records: in order; a test in several of them keeps its worst entry, and a note says so.
    """
    entries: dict[str, dict[str, Any]] = {}
    for record in records:
        for entry in record["tests"]:
            kept = entries.setdefault(entry["nodeid"], entry)
            if kept is not entry:
                worse = min(kept, entry, key=lambda one: _WORST_FIRST.index(one["verdict"]))
                note = "checked in several shards; this is the worst of its verdicts"
                entries[entry["nodeid"]] = {**worse, "notes": [*dict.fromkeys([*worse["notes"], note])]}
    return {
        **records[0],
        "schema": SCHEMA,
        "tests": list(entries.values()),
        "not_checked": [*dict.fromkeys(row for record in records for row in record["not_checked"])],
        "baseline": next((record["baseline"] for record in records if record["baseline"]), None),
    }


def portable(value: Any) -> Any:
    """The same without what JSON has no form for: NaN becomes null, a lone surrogate its escape."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {portable(str(key)): portable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [portable(each) for each in value]
    return value
