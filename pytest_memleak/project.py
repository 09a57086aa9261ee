"""The settings of the project in a directory, as pytest itself would read them there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_memleak.settings import Settings


class ProjectError(ValueError):
    """The configuration of the project cannot be used; pytest has said why."""


class _Asking:
    """Takes the place of a test session: reads the options and collects nothing."""

    values: Mapping[str, object] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        from pytest_memleak.options import read_options

        options = read_options(config)
        self.values = options.values if options else {}
        return 0


def project_settings(root: Path, given: Mapping[str, object]) -> Settings:
    """The settings that a check in this project has without a marker.

    Args:
        root: the directory to read the configuration from.
        given: settings that go before those of the project; None is not given.

    Raises:
        ProjectError: when pytest cannot read the configuration.
        SettingsError: for a value in `given` that cannot be used.
    """
    from pytest_memleak.settings import make_settings

    asking = _Asking()
    code = pytest.main(["--memcheck", f"--rootdir={root}", str(root)], plugins=[asking])
    if code or asking.values is None:
        raise ProjectError(f"the pytest configuration in {root} cannot be read; see the line above")
    return make_settings({**asking.values, **{name: value for name, value in given.items() if value is not None}})
