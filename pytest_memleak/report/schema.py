"""Checks a record against the JSON Schema that ships with the package. Pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Any

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}


@functools.cache
def record_schema() -> dict[str, Any]:
    """The JSON Schema of the record."""
    schema: dict[str, Any] = json.loads(files(__package__).joinpath("record.schema.json").read_text(encoding="utf-8"))
    return schema


def first_problem(record: Any) -> str | None:
    """Where and how a record departs from its schema, or None.

    Knows the keywords that the record's schema uses, so that reading a record needs no library.
    """
    return next(_problems(record, record_schema(), "the record"), None)


def _problems(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = record_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds):
        yield f"{where} must be {' or '.join(kinds)}"
        return
    allowed = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if allowed is not None and value not in allowed:
        yield f"{where} must be one of {', '.join(map(json.dumps, allowed))}"
    if isinstance(value, int) and value < schema.get("minimum", value):
        yield f"{where} must not be below {schema['minimum']}"
    if isinstance(value, dict):
        yield from (f"{where} has no {key!r}" for key in schema.get("required", ()) if key not in value)
        known, other = schema.get("properties", {}), schema.get("additionalProperties", {})
        for key, each in value.items():
            yield from _problems(each, known.get(key, other), f"{where}: {key}")
    if isinstance(value, list) and "items" in schema:
        for index, each in enumerate(value):
            yield from _problems(each, schema["items"], f"{where}[{index}]")
