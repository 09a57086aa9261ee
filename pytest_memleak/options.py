"""Flags, ini values and marker arguments become `Settings`; every usage error is raised here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from pytest_memleak.settings import Settings

# This module is imported by every pytest run, so settings come when checking is on, and the values are
# named tuples: a dataclass costs a millisecond to make.


class _Option(NamedTuple):
    """One setting that has an ini value and a flag: the flag takes a text, or sets the setting to `sets`."""

    setting: str
    help: str
    metavar: str = ""
    sets: bool | None = None
    flag_name: str = ""

    @property
    def flag(self) -> str:
        return f"--memcheck-{self.flag_name or self.setting.replace('_', '-')}"

    @property
    def ini(self) -> str:
        return f"memleak_{self.setting}"

    def declare(self, parser: pytest.Parser, group: pytest.OptionGroup) -> None:
        """Add the flag and the ini value; unset is None for both, which differs from False."""
        if self.sets is None:
            group.addoption(self.flag, dest=self.ini, default=None, metavar=self.metavar, help=self.help)
            parser.addini(self.ini, self.help, type="string", default=None)
        else:
            action = "store_true" if self.sets else "store_false"
            group.addoption(self.flag, dest=self.ini, default=None, action=action, help=self.help)
            parser.addini(self.ini, self.help, type="bool", default=None)


_OPTIONS = (
    _Option(
        "profile",
        "first and last look at the growth: standard 240/1440 iterations, quick 120/300, soak 480/1440, full 1440/1440",
        "NAME",
    ),
    _Option("max_growth", "growth budget, like 500MB/24h (default) or 64B/request", "RATE"),
    _Option("duration", "simulated time of a complete run (default 24h)", "TIME"),
    _Option("step", "simulated time of one iteration (default 1min)", "TIME"),
    _Option("traffic", "requests that production serves, like 50/s: scales growth per request to a day", "RATE"),
    _Option("memory_limit", "memory of the container for the forecast (default: the cgroup's, else 2GiB)", "SIZE"),
    _Option("max_memory", "fail as soon as RSS passes this size", "SIZE"),
    _Option("inconclusive", "what an inconclusive verdict does (default warn)", "warn|fail"),
    _Option("resolution", "coalesce the timers of fast tickers to this simulated time, like 1s (default 0)", "TIME"),
    _Option("trace", "run tracemalloc through the whole check (3-5 times slower)", sets=True),
    _Option("explain", "do not look for the cause of a leak", sets=False, flag_name="no-explain"),
    _Option(
        "simulate_time",
        "leave the app's clocks and the event loop as they are",
        sets=False,
        flag_name="no-simulated-time",
    ),
)

_SCAN_LISTS = {
    "memleak_scan_include": "operations to scan, like GET /users/*, with wildcards, one a line (default: all)",
    "memleak_scan_exclude": "operations to leave out of a scan",
    "memleak_scan_headers": "headers of every scanned request, like Authorization: Bearer secret, one a line",
    "memleak_scan_parameters": "values of parameters in a scan, like user_id = 1, one a line",
}

MARKER = (
    "memleak(*, profile='standard', max_growth='500MB/24h', duration='24h', step='1min', traffic=None, "
    "memory_limit=None, max_memory=None, inconclusive='warn', simulate_time=True, resolution=0, "
    "explain=True, trace=False, allow_unclosed=(), allow_errors=False): "
    "check the test for memory leaks under --memcheck; its body is one iteration (a simulated minute) and is repeated."
)


class ScanOptions(NamedTuple):
    """What a scan is told.

    Args:
        app: the import string.
        by_flag: whether the command line asks for it, or only the configuration.
        requests: sent per iteration and operation.
        include: patterns of operations; empty includes all.
        exclude: patterns of those that are left out.
        headers: sent with every request.
        parameters: values by name, for every operation that has them.
    """

    app: str
    by_flag: bool
    requests: int
    include: Sequence[str]
    exclude: Sequence[str]
    headers: Mapping[str, str]
    parameters: Mapping[str, str]


class Options(NamedTuple):
    """What the command line and the configuration ask for.

    Args:
        check_all: check every test as if it were marked.
        values: raw settings by name, flag over ini.
        report_path: where leak_report.txt goes.
        scan: the app to scan, or None.
    """

    check_all: bool
    values: Mapping[str, object]
    report_path: Path
    scan: ScanOptions | None = None


def add_options(parser: pytest.Parser) -> None:
    """Declare the flags and ini values."""
    group = parser.getgroup("memleak", "memory leak regression testing")
    group.addoption("--memcheck", action="store_true", default=None, help="check every test marked memleak")
    group.addoption(
        "--memcheck-all",
        action="store_true",
        default=None,
        help="check every test as if it were marked; implies --memcheck",
    )
    for option in _OPTIONS:
        option.declare(parser, group)
    help_allow = "clients that may stay open: library.Class or path:line, with wildcards, one a line"
    parser.addini("memleak_allow_unclosed", help_allow, type="linelist", default=None)
    help_report = "path of the text report (default: leak_report.txt in the root directory)"
    group.addoption("--memcheck-report", dest="memleak_report", default=None, metavar="PATH", help=help_report)
    parser.addini("memleak_report", help_report, type="string", default=None)
    help_scan = "check every operation of this ASGI app (import string, like myapp.main:app), without test code"
    group.addoption("--memcheck-scan", dest="memleak_scan", default=None, metavar="APP", help=help_scan)
    parser.addini("memleak_scan", help_scan, type="string", default=None)
    parser.addini("memleak_scan_count", "requests per iteration and operation of a scan", type="string", default=None)
    for name, help_list in _SCAN_LISTS.items():
        parser.addini(name, help_list, type="linelist", default=None)
    help_app = "import string of the ASGI app (or its factory), like myapp.main:app"
    parser.addini("memleak_app", help_app, type="string", default=None)


def read_options(config: pytest.Config) -> Options | None:
    """The options of this run, or None when checking is off.

    Raises:
        pytest.UsageError: for a flag or ini value that cannot be used.
    """
    scan_ini = ("memleak_scan", "memleak_scan_count", *_SCAN_LISTS)
    other_ini = ("memleak_report", "memleak_app", "memleak_allow_unclosed", *scan_ini)
    ini = {name: _read_ini(config, name) for name in (*(o.ini for o in _OPTIONS), *other_ini)}
    flags = {name: config.getoption(name) for name in (*(o.ini for o in _OPTIONS), "memleak_report", "memleak_scan")}
    check_all = bool(config.getoption("memcheck_all"))
    if not (config.getoption("memcheck") or check_all):
        flag_names = {**{o.ini: o.flag for o in _OPTIONS}, "memleak_report": "--memcheck-report"}
        flag_names["memleak_scan"] = "--memcheck-scan"
        for name, value in flags.items():
            if value is not None:
                raise pytest.UsageError(
                    f"{flag_names[name]} has no effect without --memcheck; add --memcheck or remove it"
                )
        return None
    from pytest_memleak.settings import SettingsError, make_settings

    for option in _OPTIONS:
        _validate(option.setting, flags[option.ini], option.flag)
        _validate(option.setting, ini[option.ini], option.ini)
    values = {o.setting: ini[o.ini] if flags[o.ini] is None else flags[o.ini] for o in _OPTIONS}
    values["allow_unclosed"] = ini["memleak_allow_unclosed"]
    try:
        make_settings(values)
    except SettingsError as error:
        raise pytest.UsageError(f"memleak: {error}") from None
    if flags["memleak_report"] is not None:
        report = config.invocation_params.dir / flags["memleak_report"]
    else:
        report = config.rootpath / (ini["memleak_report"] or "leak_report.txt")
    return Options(check_all=check_all, values=values, report_path=report, scan=_read_scan(flags["memleak_scan"], ini))


def _read_scan(flag: str | None, ini: Mapping[str, Any]) -> ScanOptions | None:
    app = flag or ini["memleak_scan"]
    if not app:
        return None
    count = str(ini["memleak_scan_count"] or 10)
    if not (count.isascii() and count.isdigit() and int(count)):
        raise pytest.UsageError(f"memleak_scan_count: {count!r} is not a whole number of 1 or more")
    return ScanOptions(
        app=app,
        by_flag=flag is not None,
        requests=int(count),
        include=ini["memleak_scan_include"] or (),
        exclude=ini["memleak_scan_exclude"] or (),
        headers=_pairs(ini["memleak_scan_headers"], ":", "memleak_scan_headers"),
        parameters=_pairs(ini["memleak_scan_parameters"], "=", "memleak_scan_parameters"),
    )


def _pairs(lines: Sequence[str] | None, sign: str, where: str) -> dict[str, str]:
    pairs = {}
    for line in lines or ():
        name, found, value = line.partition(sign)
        if not (found and name.strip()):
            raise pytest.UsageError(f"{where}: {line!r} is not of the form name{sign} value")
        pairs[name.strip()] = value.strip()
    return pairs


def _read_ini(config: pytest.Config, name: str) -> Any:
    try:
        value = config.getini(name)
    except (TypeError, ValueError) as error:
        # Native TOML has types: memleak_step = 60 is a number where a text is declared.
        raise pytest.UsageError(f"the configuration value {name} is of the wrong type: {error}") from None
    return None if value == "" else value


def _validate(setting: str, value: object, where: str) -> None:
    from pytest_memleak.settings import SettingsError, validate

    try:
        validate({setting: value})
    except SettingsError as error:
        raise pytest.UsageError(f"{where}: {str(error).removeprefix(f'{setting}: ')}") from None


def item_settings(item: pytest.Item, options: Options) -> Settings:
    """The settings of one test: marker over flag over ini over default.

    Raises:
        SettingsError: for a marker argument that is unknown or cannot be used.
    """
    from pytest_memleak.settings import DEFAULTS, SettingsError, make_settings, validate

    given: dict[str, object] = {}
    for marker in reversed(list(item.iter_markers("memleak"))):
        if marker.args:
            raise SettingsError(
                f"@pytest.mark.memleak takes keyword arguments only, not {marker.args[0]!r}; "
                f"they are {', '.join(sorted(DEFAULTS))}"
            )
        given.update(marker.kwargs)
    validate(given)
    return make_settings({**options.values, **given})
