"""The hooks that a user's conftest file may implement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_memleak import ClientProbe


@pytest.hookspec
def pytest_memleak_client_probes(config: pytest.Config) -> Sequence[ClientProbe]:  # type: ignore[empty-body]
    """Return further client classes to track, each a `pytest_memleak.ClientProbe`."""
