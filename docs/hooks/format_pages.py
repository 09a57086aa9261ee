"""The pages of the command line and of the files that a run writes."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

from writing import cell, code, sentence, table

from pytest_memleak import cli
from pytest_memleak.report import junit
from pytest_memleak.report.schema import record_schema


def command_line_page() -> str:
    parser = cli._parser()
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    lines = ["# `python -m pytest_memleak`", "", inspect.cleandoc(cli.__doc__ or "").replace("\n", " "), ""]
    for name, command in commands.choices.items():
        body = [(code(_argument(action)), cell(_help(action))) for action in command._actions if action.dest != "help"]
        lines += [f"## `{name}`", "", f"{sentence(command.description or '')}", ""]
        lines += [*table(("argument", "what it is"), body), ""]
    return "\n".join(lines)


def _argument(action: argparse.Action) -> str:
    choices = "|".join(map(str, action.choices or ()))
    takes = choices or str(action.metavar or "") or ("" if action.nargs == 0 else action.dest.upper())
    return " ".join([*action.option_strings[:1], takes]).strip()


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")


def junit_page() -> str:
    return "\n".join(
        [
            "# JUnit properties",
            "",
            "`--junitxml=PATH` has these `<properties>` at each checked test; what is unknown is left out. Their "
            "values are those of [the JSON record](../record.md), MB are 1,000,000 bytes.",
            "",
            *(f"- `{name}`" for name in junit_properties()),
            "",
        ]
    )


def junit_properties() -> list[str]:
    """The names of all properties, in their order."""
    names = re.findall(r'^        "(\w+)":', inspect.getsource(junit.properties), re.MULTILINE)
    return [junit.PREFIX + name for name in names]


def schema_page() -> str:
    schema = record_schema()
    lines = [
        "# The JSON Schema",
        "",
        f"{schema['description']} What the keys mean is in [the JSON record](../record.md). The schema ships with the "
        "package as `pytest_memleak/report/record.schema.json`.",
        "",
        *_object_section("the document", schema),
    ]
    for name, definition in schema["$defs"].items():
        lines += _object_section(name, definition)
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    return "\n".join([*lines, "## The whole schema", "", "```json", text, "```", ""])


def _object_section(name: str, definition: Mapping[str, Any]) -> list[str]:
    required = definition.get("required", ())
    if "properties" not in definition:
        return [f"## {name}", "", _kind(definition), ""]
    rows = [
        (code(key), _kind(value), "yes" if key in required else "") for key, value in definition["properties"].items()
    ]
    return [f"## {name}", "", *table(("key", "type", "always there"), rows), ""]


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "enum" in schema or "const" in schema:
        values = schema.get("enum") or [schema["const"]]
        return ", ".join(code(json.dumps(value).strip('"')) for value in values)
    kinds = schema.get("type", "any")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    inner = schema.get("items") or schema.get("additionalProperties")
    text = " or ".join(kinds)
    return f"{text} of {_kind(inner)}" if inner else text
