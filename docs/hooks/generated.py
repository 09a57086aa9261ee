"""The pages that are written from the code: the reference, and the results where there are any.

Each is made of what the plugin itself declares to pytest, so that it cannot differ from it.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_memleak
from pytest_memleak import cli, hookspecs, options, plugin
from pytest_memleak.api import Memleak
from pytest_memleak.drive.websocket import WebSocket
from pytest_memleak.report import junit
from pytest_memleak.report.schema import record_schema
from pytest_memleak.sense.probes import BUILT_IN
from pytest_memleak.settings import DEFAULTS, Settings


def pages(root: Path) -> dict[str, str]:
    """Text by path within the documentation.

    Args:
        root: of the project.
    """
    reference = {
        "options": options_page,
        "marker": marker_page,
        "fixtures": fixtures_page,
        "hooks": hooks_page,
        "clients": clients_page,
        "python": python_page,
        "command-line": command_line_page,
        "junit": junit_page,
        "schema": schema_page,
    }
    written = {f"reference/{name}.md": page() for name, page in reference.items()}
    return {**written, "results.md": results_page(root / "benchmarks" / "RESULTS.md")}


# --- Options ---


@dataclass(slots=True)
class Row:
    """A flag and the configuration value that means the same; one of them may be empty."""

    flag: str = ""
    ini: str = ""
    kind: str = ""
    help: str = ""


@dataclass(slots=True)
class Declared:
    """Takes the place of pytest's parser: keeps what the plugin declares, in its order, by destination."""

    rows: dict[str, Row] = field(default_factory=dict)

    def getgroup(self, name: str, description: str) -> Declared:
        return self

    def addoption(self, flag: str, *, help: str, metavar: str = "", dest: str = "", **_: Any) -> None:
        row = self.rows.setdefault(dest or flag, Row())
        row.flag, row.help = f"{flag} {metavar}".strip(), help.replace("%%", "%")

    def addini(self, name: str, help: str, *, type: str, **_: Any) -> None:
        row = self.rows.setdefault(name, Row())
        row.ini, row.kind, row.help = name, type, row.help or help


def declared() -> list[Row]:
    """Every flag and configuration value of the plugin."""
    parser: Any = Declared()
    options.add_options(parser)
    return list(parser.rows.values())


_KINDS = {"": "", "string": "text", "bool": "true or false", "linelist": "list"}


def options_page() -> str:
    body = [
        (code(row.flag), code(row.ini), _KINDS[row.kind], "yes" if _marker_argument(row) else "", cell(row.help))
        for row in declared()
    ]
    return "\n".join(
        [
            "---",
            "hide: [toc]",
            "---",
            "",
            "# Options and configuration",
            "",
            "A marker argument goes before a flag, a flag before the configuration, the configuration before the "
            "default. The argument is called as the configuration value, without `memleak_`. Configuration is read "
            "from `[tool.pytest]` in `pyproject.toml`, from `pytest.toml` or from `pytest.ini`, as pytest reads its "
            "own.",
            "",
            "A flag that says `do not` or `leave` switches off what its configuration value and marker argument switch "
            "on: `memleak_explain = false` is `--memcheck-no-explain`. Paths in flags are relative to the directory "
            "pytest was started in, paths in the configuration to the root directory. Sizes are powers of 1,000 (`MB`) "
            "or of 1,024 (`MiB`).",
            "",
            *table(("flag", "configuration", "type", "marker", "what it does"), body),
        ]
    )


def _marker_argument(row: Row) -> str:
    name = row.ini.removeprefix("memleak_")
    return name if name in DEFAULTS else ""


# --- Marker ---


def marker_page() -> str:
    meanings = marker_meanings()
    body = [(code(name), code(default), cell(meanings[name])) for name, default in marker_defaults().items()]
    description = options.MARKER.partition("): ")[2]
    return "\n".join(
        [
            "# The marker",
            "",
            f"`@pytest.mark.memleak(…)`: {description}",
            "",
            "All arguments are keywords. An unknown one, or a value that cannot be used, fails the test with a "
            "sentence that says what is wrong. On a class or a module the marker counts for each test in it; the "
            "nearest one wins, argument by argument.",
            "",
            *table(("argument", "default", "what it is"), body),
        ]
    )


def marker_defaults() -> dict[str, str]:
    """The marker's arguments with their defaults, as `pytest --markers` shows them."""
    signature = options.MARKER.partition(": ")[0]
    call = ast.parse(f"def {signature}: ...").body[0]
    assert isinstance(call, ast.FunctionDef)
    values = zip(call.args.kwonlyargs, call.args.kw_defaults, strict=True)
    return {argument.arg: ast.unparse(value) for argument, value in values if value is not None}


def marker_meanings() -> dict[str, str]:
    """A phrase for each argument: of its option, but of the setting where the flag says what it switches off."""
    of_options = {_marker_argument(row): row.help for row in declared() if not row.flag.startswith("--memcheck-no-")}
    of_settings = arguments_of(Settings)
    return {name: of_options.get(name) or of_settings[name] for name in DEFAULTS}


# --- Fixtures, hooks, Python ---

_FIELDS_ONLY = "    options: {members: false}\n"


def fixtures_page() -> str:
    sections = [f"## `{name}`\n\n{docstring(getattr(plugin, name))}\n" for name in plugin.__all__]
    return "\n".join(
        [
            "# Fixtures",
            "",
            *sections,
            "## The object `memleak`",
            "",
            *members("pytest_memleak.api.Memleak", public(Memleak)),
            "## The client of `memleak.websocket`",
            "",
            *members("pytest_memleak.drive.websocket.WebSocket", public(WebSocket)),
        ]
    )


def hooks_page() -> str:
    names = [name for name in vars(hookspecs) if name.startswith("pytest_")]
    return "\n".join(
        [
            "# Hooks",
            "",
            "For a `conftest.py` or a plugin. [Allow what may stay open](../how-to/allow.md) and "
            "[scan an app](../how-to/scan.md) use them.",
            "",
            *(f"::: pytest_memleak.hookspecs.{name}\n" for name in names),
            f"::: pytest_memleak.ClientProbe\n{_FIELDS_ONLY}",
            "::: pytest_memleak.ScanOperation\n",
        ]
    )


def clients_page() -> str:
    rows = [
        (code(probe.library), ", ".join(map(code, probe.class_names)), "a note" if probe.closes_on_collect else "fails")
        for probe in BUILT_IN
    ]
    return "\n".join(
        [
            "# Client libraries",
            "",
            "The classes whose instances are [followed](../explanation/clients.md). `allow_unclosed` takes "
            "`library.Class`, with these names.",
            "",
            *table(("library", "classes", "dropped without close"), rows),
            "",
        ]
    )


def python_page() -> str:
    elsewhere = {"Memleak", "ClientProbe", "ScanOperation"}
    names = [name for name in pytest_memleak.__all__ if name not in elsewhere]
    return "\n".join(
        [
            "# Python",
            "",
            "What `import pytest_memleak` gives. `Memleak` is under [Fixtures](fixtures.md), `ClientProbe` and "
            "`ScanOperation` are under [Hooks](hooks.md).",
            "",
            *(f"::: pytest_memleak.{name}\n{_FIELDS_ONLY if name == 'Request' else ''}" for name in names),
        ]
    )


# --- Command line ---


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


# --- Files that a run writes ---


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


def results_page(results: Path) -> str:
    """What `python -m benchmarks` wrote, without links to files that are not part of the documentation."""
    if results.is_file():
        return re.sub(r"\[([^]]+)\]\((?!https?:|#)[^)]*\)", r"\1", results.read_text(encoding="utf-8"))
    return "# Results\n\nNo results are written yet: `python -m benchmarks` measures them.\n"


# --- Text ---


def docstring(documented: object) -> str:
    """Its docstring, with single backquotes, as Markdown has them."""
    return inspect.cleandoc(inspect.getdoc(documented) or "").replace("``", "`")


def arguments_of(documented: type | Callable[..., Any]) -> dict[str, str]:
    """The arguments that a docstring describes, each with its text in one line."""
    section = inspect.cleandoc(documented.__doc__ or "").partition("Args:\n")[2].partition("\n\n")[0]
    return dict(_entries(section))


def _entries(section: str) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"\n(?=    \S)", section):
        names, _, text = entry.strip().partition(": ")
        for name in names.split(", "):
            yield name, re.sub(r"\s+", " ", text).replace("``", "`").rstrip(".")


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [heads, ("---",) * len(heads), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def cell(text: str) -> str:
    """Text in a table, where a bar would end the cell."""
    return text.replace("|", "\\|")


def public(cls: type) -> list[str]:
    return [name for name in vars(cls) if not name.startswith("_")]


def members(path: str, names: Iterable[str]) -> list[str]:
    """What mkdocstrings writes of each."""
    return [f"::: {path}.{name}\n    options: {{heading_level: 3}}\n" for name in names]


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
