"""The pages of the options and of the marker, from what the plugin declares to pytest."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from writing import WIDE, arguments_of, cell, code, table

from pytest_memleak import options
from pytest_memleak.settings import DEFAULTS, Settings


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
            f"{WIDE}# Options and configuration",
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
