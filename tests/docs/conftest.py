"""The documentation, its generated pages, and its examples run as a reader runs them."""

from __future__ import annotations

import functools
import importlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="session")
def generated() -> ModuleType:
    """The module that writes the reference."""
    with pytest.MonkeyPatch.context() as patch:  # as mkdocs does for a hook
        patch.syspath_prepend(str(DOCS / "hooks"))
        return importlib.import_module("generated")


@pytest.fixture(scope="session")
def pages(generated: ModuleType) -> dict[str, str]:
    """The generated pages by path."""
    return generated.pages(ROOT)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Copies of folders of the project, the later over the earlier, without what earlier runs left there."""

    def copy(*names: str) -> Path:
        ignored = shutil.ignore_patterns("__pycache__", ".*", "leak_report.txt")
        for name in names:
            shutil.copytree(ROOT / name, tmp_path / "copy", ignore=ignored, dirs_exist_ok=True)
        return tmp_path / "copy"

    return copy


# Only the plugins that a reader has: importing those of all our tests takes longer than most of the examples.
FEW_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p asyncio -p memleak"}


@pytest.fixture(scope="session")
def shell(shell: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command line in a folder, with the plugins of a reader."""
    return functools.partial(shell, **FEW_PLUGINS)
