"""What a scan is told by flags and ini values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

# Imported by every pytest run, as options.py: a named tuple, and nothing heavy.

_FLAG, _APP, _COUNT = "--memcheck-scan", "memleak_scan", "memleak_scan_count"
_LISTS = {
    "memleak_scan_include": "operations to scan, like GET /users/*, with wildcards, one a line (default: all)",
    "memleak_scan_exclude": "operations to leave out of a scan",
    "memleak_scan_headers": "headers of every scanned request, like Authorization: Bearer secret, one a line",
    "memleak_scan_parameters": "values of parameters in a scan, like user_id = 1, one a line",
}


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


def add_scan_options(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    """Declare the flag and the ini values."""
    text = "check every operation of this ASGI app (import string, like myapp.main:app), without test code"
    group.addoption(_FLAG, dest=_APP, default=None, metavar="APP", help=text)
    parser.addini(_APP, text, type="string", default=None)
    parser.addini(_COUNT, "requests per iteration and operation of a scan (default 10)", type="string", default=None)
    for name, help_list in _LISTS.items():
        parser.addini(name, help_list, type="linelist", default=None)


def scan_ini() -> tuple[str, ...]:
    """The names of the ini values."""
    return (_APP, _COUNT, *_LISTS)


def scan_flags() -> dict[str, str]:
    """The flag by the name that pytest keeps its value under."""
    return {_APP: _FLAG}


def read_scan(config: pytest.Config, ini: Mapping[str, Any]) -> ScanOptions | None:
    """What this run scans, or None.

    Args:
        config: of the session.
        ini: the ini values of `scan_ini`.

    Raises:
        pytest.UsageError: for a value that cannot be used.
    """
    flag = config.getoption(_APP)
    app = flag or ini[_APP]
    if not app:
        return None
    count = str(ini[_COUNT] or 10)
    if not (count.isascii() and count.isdigit() and int(count)):
        raise pytest.UsageError(f"{_COUNT}: {count!r} is not a whole number of 1 or more")
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
