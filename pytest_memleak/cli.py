"""`python -m pytest_memleak`: scan an app, judge production's memory, compare and merge runs, print alert rules.

Exit codes: 0 fine, 1 a leak or a regression, 2 a mistake, which is said in one sentence.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_memleak.baseline import BaselineError, compare_tests, load
from pytest_memleak.production import judged_record
from pytest_memleak.project import ProjectError, project_settings
from pytest_memleak.report import alerts, text
from pytest_memleak.report.record import RecordError, dumps, loads, merge
from pytest_memleak.series import SeriesError
from pytest_memleak.settings import SettingsError
from pytest_memleak.units import UnitError, parse_percent
from pytest_memleak.writing import html_page, write_whole

FINE, LEAK, MISTAKE = 0, 1, 2
_MISTAKES = (BaselineError, ProjectError, RecordError, SeriesError, SettingsError, UnitError)


class UsageMistake(ValueError):
    """The arguments cannot be used; the message is one sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: instead of those of the process.

    Returns:
        the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # an ASCII terminal must not end in a traceback
            stream.reconfigure(errors="backslashreplace")
    given = _parser().parse_args(arguments)
    try:
        code: int = given.run(given)
        sys.stdout.flush()
        return code
    except (*_MISTAKES, UsageMistake) as error:
        sys.stderr.write(f"error: {error}\n")
    except BrokenPipeError:
        # The reader, like head, has seen enough; nothing is left to be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        sys.stderr.write(f"error: {error.filename}: {error.strerror}\n")
    return MISTAKE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pytest_memleak", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    about = "check every operation of an ASGI app, without tests"
    scan = commands.add_parser("scan", help=about, description=about, allow_abbrev=False)
    scan.set_defaults(run=_scan)
    scan.add_argument("app", metavar="APP", help="import string, like myapp.main:app")
    further = "options of pytest, like -k users -n 4 --memcheck-html leaks.html"
    scan.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help=further)

    analyze = _command(commands, "analyze", _analyze, "tell a record again, or judge memory sampled in production")
    analyze.add_argument("file", type=Path, help="a JSON record, a CSV of time and bytes, or a query_range answer")
    _add_settings(analyze)
    analyze.add_argument("--no-restarts", action="store_true", help="judge across falls that look like restarts")
    analyze.add_argument("--html", type=Path, metavar="PATH", help="write the page with charts, too")

    compare = _command(commands, "compare", _compare, "compare two baselines or records")
    compare.add_argument("old", type=Path)
    compare.add_argument("new", type=Path)
    compare.add_argument("--fail", default="0%", metavar="PERCENT", help="growth over the old one to allow, like 10%%")

    merging = _command(commands, "merge", _merge, "make one report of the records of a CI matrix")
    merging.add_argument("records", type=Path, nargs="+", metavar="RECORD")
    merging.add_argument("--output", type=Path, metavar="PATH", help="write the merged record")
    merging.add_argument("--html", type=Path, metavar="PATH", help="write the page with charts, too")

    rules = _command(commands, "alerts", _alerts, "print alert rules from the project's own budget")
    rules.add_argument("--format", choices=("prometheus", "azure"), required=True)
    _add_settings(rules)
    rules.add_argument("--rootdir", type=Path, default=Path(), help="of the project (default: here)")
    rules.add_argument("--metric", default="process_resident_memory_bytes", help="of Prometheus (default: %(default)s)")
    rules.add_argument("--selector", default="", metavar="LABELS", help='labels of the service, like job="api"')
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(run=run)
    command.add_argument("--json", action="store_true", help="print JSON instead of text")
    return command


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--max-growth", metavar="RATE", help="growth budget, like 500MB/24h")
    command.add_argument("--memory-limit", metavar="SIZE", help="memory of the container, like 2GiB")
    command.add_argument("--traffic", metavar="RATE", help="requests that production serves, like 50/s")


def _settings_in(given: argparse.Namespace) -> dict[str, str | None]:
    return {name: getattr(given, name) for name in ("max_growth", "memory_limit", "traffic")}


def _scan(given: argparse.Namespace) -> int:
    from pytest_memleak.scanning import run_scan  # with all that a check needs

    code = run_scan(given.app, given.arguments)
    return code if code in (FINE, LEAK) else MISTAKE


def _analyze(given: argparse.Namespace) -> int:
    record = judged_record(given.file, _settings_in(given), split=not given.no_restarts)
    _show(record, given)
    return _code(record)


def _compare(given: argparse.Namespace) -> int:
    old, new = load(given.old), load(given.new)
    compared = compare_tests(old, new.tests, parse_percent(given.fail))
    if given.json:
        _print_json(compared)
    else:
        _print("\n".join(text.differences({"baseline": compared})))
    return LEAK if any(row["status"] == "regression" for row in compared["tests"]) else FINE


def _merge(given: argparse.Namespace) -> int:
    record = merge([loads(_read(path), str(path)) for path in given.records])
    if given.output:
        write_whole(given.output, dumps(record))
    _show(record, given)
    return _code(record)


def _alerts(given: argparse.Namespace) -> int:
    if not given.rootdir.is_dir():
        raise UsageMistake(f"--rootdir: {given.rootdir} is not a directory")
    levels = alerts.levels(project_settings(given.rootdir, _settings_in(given)))
    if given.format == "azure":
        _print_json(alerts.azure(levels))
    else:
        rules = alerts.prometheus(levels, given.metric, given.selector)
        _print_json(rules) if given.json else _print(alerts.as_yaml(rules, levels.note))
    return FINE


def _show(record: Mapping[str, Any], given: argparse.Namespace) -> None:
    """Print a record as text or JSON, and write its page where one is asked for."""
    if given.html:
        write_whole(given.html, html_page(record, Path()))
    _print(dumps(record) if given.json else text.report(record))


def _code(record: Mapping[str, Any]) -> int:
    return LEAK if any(entry["verdict"] in ("leak", "error") for entry in record["tests"]) else FINE


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageMistake(f"{path} is not UTF-8 text") from None


def _print_json(value: Any) -> None:
    _print(json.dumps(value, ensure_ascii=False, indent=2))


def _print(shown: str) -> None:
    sys.stdout.write(shown.rstrip("\n") + "\n")
