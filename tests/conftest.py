"""Shared by all tests: pytester, and the settings of hypothesis."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]

# Examples are derived from the test, not from chance: a run that fails here fails everywhere.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Explaining walks all objects of a process: those tests come first, while there are few."""
    items.sort(key=lambda item: item.path.parent.name != "explain")


_SLOW_TO_IMPORT = ("schemathesis", "hypothesispytest", "pytest_cov", "html", "html_fixtures", "metadata", "faker")
_LEAN = " ".join(f"-p no:{name}" for name in _SLOW_TO_IMPORT)


@pytest.fixture(scope="session", autouse=True)
def lean_sessions() -> Iterator[None]:
    """The sessions that tests start do without the plugins that take seconds to import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_ADDOPTS", _LEAN)
        yield


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The same: pytester discards the options of the session around it."""
    monkeypatch.setenv("PYTEST_ADDOPTS", _LEAN)
    return pytester


@pytest.fixture
def all_plugins(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sessions of this test load all that is installed, as a user's do."""
    monkeypatch.delenv("PYTEST_ADDOPTS")


@pytest.fixture(scope="session")
def shell() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command line in a folder, with this Python's pytest first on the path."""

    def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path, **environment},
            shell=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
        )

    return run
