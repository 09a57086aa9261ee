"""The hooks that a user's conftest file may implement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_memleak import ClientProbe, ScanOperation


@pytest.hookspec
def pytest_memleak_client_probes(config: pytest.Config) -> Sequence[ClientProbe]:  # type: ignore[empty-body]
    """Return further client classes to track, each a `pytest_memleak.ClientProbe`."""


@pytest.hookspec
def pytest_memleak_scan_operation(operation: ScanOperation) -> None:
    """Complete one operation of a scan, or skip it: set its parameters, headers, cookies, json, settings or skip.

    Called in the setup of each scanned operation; `operation.app` is the app, for `dependency_overrides`.
    """
