"""An OpenAPI document narrowed to values that clients usually send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SPAN = 1000
_MOST_ITEMS = 3


def usual(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with bounds wherever it sets none: every value that is left is valid in the original, too.

    A width of thirty digits is valid and makes the app compute for minutes: that is another kind of test.
    """
    closed = not _has(document, "allOf")  # parts of a whole must leave room for the other parts
    return {name: _narrowed(value, closed) for name, value in document.items()}


def _has(value: Any, name: str) -> bool:
    if isinstance(value, Mapping):
        return name in value or any(_has(inner, name) for inner in value.values())
    return isinstance(value, list) and any(_has(inner, name) for inner in value)


def _narrowed(value: Any, closed: bool) -> Any:
    if isinstance(value, list):
        return [_narrowed(inner, closed) for inner in value]
    if not isinstance(value, Mapping):
        return value
    schema = {name: _narrowed(inner, closed) for name, inner in value.items()}
    kind = schema.get("type")
    if "enum" in schema or "const" in schema:
        return schema
    if kind in ("integer", "number"):
        _bound(schema)
    elif kind == "array":
        schema.setdefault("maxItems", max(_MOST_ITEMS, schema.get("minItems", 0)))
    elif closed and isinstance(schema.get("properties"), Mapping) and "patternProperties" not in schema:
        schema.setdefault("additionalProperties", False)
    return schema


def _bound(schema: dict[str, Any]) -> None:
    lows = [schema[name] for name in ("minimum", "exclusiveMinimum") if _is_number(schema.get(name))]
    highs = [schema[name] for name in ("maximum", "exclusiveMaximum") if _is_number(schema.get(name))]
    if not lows:
        schema["minimum"] = min(0, min(highs) - _SPAN) if highs and min(highs) <= 0 else 0
    if not highs:
        schema["maximum"] = max([0, *lows]) + _SPAN


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
