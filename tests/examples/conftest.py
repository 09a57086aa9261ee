"""The examples, copied and run as a user runs them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one example, without what earlier runs left there."""

    def copy(name: str) -> Path:
        return shutil.copytree(
            EXAMPLES / name,
            tmp_path / name,
            ignore=shutil.ignore_patterns("__pycache__", ".*_cache", "leak_report.txt"),
        )

    return copy
