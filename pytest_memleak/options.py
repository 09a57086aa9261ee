"""Flags, ini values and marker arguments become `Settings`; every usage error is raised here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_memleak.outputs import Outputs, add_output_options, output_flags, output_ini, read_outputs
from pytest_memleak.scan_options import ScanOptions, add_scan_options, read_scan, scan_flags, scan_ini

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
    _Option("isolate", "run each checked test in a fresh process", sets=True),
    _Option("iteration_timeout", "real time that one iteration may take (default 60s)", "TIME"),
)

MARKER = (
    "memleak(*, profile='standard', max_growth='500MB/24h', duration='24h', step='1min', traffic=None, "
    "memory_limit=None, max_memory=None, inconclusive='warn', simulate_time=True, resolution=0, "
    "explain=True, trace=False, allow_unclosed=(), allow_errors=False, isolate=False, iteration_timeout='60s'): "
    "check the test for memory leaks under --memcheck; its body is one iteration (a simulated minute) and is repeated."
)


NO_DEBUGGER = "an isolated test runs in a process that a debugger cannot reach: leave out --pdb and --trace, or isolate"


class Options(NamedTuple):
    """What the command line and the configuration ask for.

    Args:
        check_all: check every test as if it were marked.
        values: raw settings by name, flag over ini.
        outputs: the reports to write and the baseline to compare with.
        scan: the app to scan, or None.
    """

    check_all: bool
    values: Mapping[str, object]
    outputs: Outputs
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
    add_output_options(parser, group)
    add_scan_options(parser, group)
    help_app = "import string of the ASGI app (or its factory), like myapp.main:app"
    parser.addini("memleak_app", help_app, type="string", default=None)


def read_options(config: pytest.Config) -> Options | None:
    """The options of this run, or None when checking is off.

    Raises:
        pytest.UsageError: for a flag or ini value that cannot be used.
    """
    other_ini = (*output_ini(), *scan_ini(), "memleak_app", "memleak_allow_unclosed")
    ini = {name: _read_ini(config, name) for name in (*(o.ini for o in _OPTIONS), *other_ini)}
    flag_names = {**{o.ini: o.flag for o in _OPTIONS}, **output_flags(), **scan_flags()}
    flags = {name: config.getoption(name) for name in flag_names}
    check_all = bool(config.getoption("memcheck_all"))
    if not (config.getoption("memcheck") or check_all):
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
    if values["isolate"] and _debugs(config):
        raise pytest.UsageError(f"memleak: {NO_DEBUGGER}")
    outputs, scan = read_outputs(config, ini), read_scan(config, ini)
    return Options(check_all=check_all, values=values, outputs=outputs, scan=scan)


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
    settings = make_settings({**options.values, **given})
    if settings.isolate and _debugs(item.config):
        raise SettingsError(NO_DEBUGGER)
    return settings


def _debugs(config: pytest.Config) -> bool:
    return bool(config.getoption("usepdb", False) or config.getoption("trace", False))
