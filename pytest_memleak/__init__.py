"""pytest-memleak: memory leak regression testing for Python services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_memleak.api import Memleak, acheck, check
    from pytest_memleak.drive.replay import recorded_traffic
    from pytest_memleak.drive.scan import ScanOperation
    from pytest_memleak.drive.traffic import Request
    from pytest_memleak.sense.probes import ClientProbe
    from pytest_memleak.verdict import MemoryLeakError, Verdict

__all__ = [
    "ClientProbe",
    "Memleak",
    "MemoryLeakError",
    "Request",
    "ScanOperation",
    "Verdict",
    "acheck",
    "check",
    "recorded_traffic",
]

_HOMES = {
    "ClientProbe": "sense.probes",
    "MemoryLeakError": "verdict",
    "recorded_traffic": "drive.replay",
    "Request": "drive.traffic",
    "ScanOperation": "drive.scan",
    "Verdict": "verdict",
}


def __getattr__(name: str) -> Any:
    # Every pytest run of a project that has the plugin installed imports this package: the names come when asked for.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'api')}"), name)
