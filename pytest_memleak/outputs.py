"""Which reports a run writes and which baselines it reads: flags, ini values and paths."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from pytest_memleak.baseline import Baseline

# Imported by every pytest run, as options.py: named tuples, and what is heavy in the functions.

_HTML_NEEDS = ("jinja2", "pygal")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class _Report(NamedTuple):
    """One kind of report with a path of its own."""

    kind: str
    help: str

    @property
    def flag(self) -> str:
        return f"--memcheck-{self.kind}"

    @property
    def ini(self) -> str:
        return "memleak_report" if self.kind == "report" else f"memleak_{self.kind}"


_REPORTS = (
    _Report("report", "path of the text report (default: leak_report.txt in the root directory)"),
    _Report("json", "write the record, which machines read, to this path"),
    _Report("html", "write one HTML page with charts to this path (needs pytest-memleak[html])"),
)
_BASELINE_FLAGS = {
    "memcheck_save": ("NAME", "save the growth of each checked test as the baseline .memleak/NAME.json"),
    "memcheck_compare": ("NAME|PATH", "compare with this baseline, or with the record of an earlier run"),
    "memcheck_compare_fail": ("PERCENT", "fail a test that grows by more than this over its baseline, like 10%%"),
}


class Outputs(NamedTuple):
    """What is written and compared besides the verdicts.

    Args:
        report_path: of leak_report.txt.
        json_path, html_path: of these reports, or None.
        save_path: of the baseline to write, or None.
        baseline: what to compare with, or None.
        fail_over: growth over the baseline that fails a test, as a share of it; None never fails.
    """

    report_path: Path
    json_path: Path | None = None
    html_path: Path | None = None
    save_path: Path | None = None
    baseline: Baseline | None = None
    fail_over: float | None = None


def add_output_options(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    """Declare the flags and ini values."""
    for report in _REPORTS:
        group.addoption(report.flag, dest=report.ini, default=None, metavar="PATH", help=report.help)
        parser.addini(report.ini, report.help, type="string", default=None)
    for name, (metavar, text) in _BASELINE_FLAGS.items():
        group.addoption(_flag(name), dest=name, default=None, metavar=metavar, help=text)


def output_ini() -> tuple[str, ...]:
    """The names of the ini values."""
    return tuple(report.ini for report in _REPORTS)


def output_flags() -> dict[str, str]:
    """The flags by the name that pytest keeps their value under."""
    return {**{report.ini: report.flag for report in _REPORTS}, **{name: _flag(name) for name in _BASELINE_FLAGS}}


def read_outputs(config: pytest.Config, ini: dict[str, Any]) -> Outputs:
    """What this run writes and compares with.

    Args:
        config: of the session.
        ini: the ini values of `output_ini`.

    Raises:
        pytest.UsageError: for a flag that cannot be used, or a baseline that cannot be read.
    """
    paths = {report.kind: _report_path(config, report, ini[report.ini]) for report in _REPORTS}
    _reject_shared_path(paths)
    if paths["html"]:
        _require_html()
    baseline, fail_over = _compared(config)
    return Outputs(
        report_path=paths["report"] or config.rootpath / "leak_report.txt",
        json_path=paths["json"],
        html_path=paths["html"],
        save_path=_save_path(config),
        baseline=baseline,
        fail_over=fail_over,
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _report_path(config: pytest.Config, report: _Report, in_ini: str | None) -> Path | None:
    """Flags are relative to where pytest was started, ini values to the root directory."""
    given = config.getoption(report.ini)
    if given == "":
        raise pytest.UsageError(f"{report.flag} is empty; give the path of a file")
    if given is not None:
        return Path(config.invocation_params.dir, given)
    return config.rootpath / in_ini if in_ini else None


def _reject_shared_path(paths: dict[str, Path | None]) -> None:
    seen: dict[str, str] = {}
    for kind, path in paths.items():
        if path is not None and (other := seen.setdefault(os.path.abspath(path), kind)) != kind:
            raise pytest.UsageError(f"--memcheck-{other} and --memcheck-{kind} name the same file {path}; give two")


def _require_html() -> None:
    from importlib.util import find_spec

    missing = [name for name in _HTML_NEEDS if find_spec(name) is None]
    if missing:
        raise pytest.UsageError(f"the HTML report needs {' and '.join(missing)}: pip install 'pytest-memleak[html]'")


def _save_path(config: pytest.Config) -> Path | None:
    name = config.getoption("memcheck_save")
    if name is None:
        return None
    if not _NAME.fullmatch(name):
        raise pytest.UsageError(f"--memcheck-save: {name!r} is not a name of letters, digits, '_', '-' and '.'")
    path = _baseline_path(config, name)
    if path.exists():
        _load(path)  # what cannot be read is not ours to replace
    return path


def _compared(config: pytest.Config) -> tuple[Baseline | None, float | None]:
    given, limit = config.getoption("memcheck_compare"), config.getoption("memcheck_compare_fail")
    if given is None:
        if limit is not None:
            raise pytest.UsageError("--memcheck-compare-fail has no effect without --memcheck-compare; add it")
        return None, None
    is_path = given.endswith(".json") or "/" in given or os.sep in given
    path = config.invocation_params.dir / given if is_path else _baseline_path(config, given)
    if not path.is_file():
        remedy = "" if is_path else f"; write it with --memcheck --memcheck-save {given}"
        raise pytest.UsageError(f"--memcheck-compare: there is no baseline {path}{remedy}")
    if limit is None:
        return _load(path), None
    from pytest_memleak.units import UnitError, parse_percent

    try:
        return _load(path), parse_percent(limit)
    except UnitError as error:
        raise pytest.UsageError(f"--memcheck-compare-fail: {error}") from None


def _baseline_path(config: pytest.Config, name: str) -> Path:
    return config.rootpath / ".memleak" / f"{name.removesuffix('.json')}.json"


def _load(path: Path) -> Baseline:
    from pytest_memleak.baseline import BaselineError, load

    try:
        return load(path)
    except BaselineError as error:
        raise pytest.UsageError(str(error)) from None
