"""One small project for each framework, checked in a pytest of its own."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

APPS = Path(__file__).parent / "apps"
CONFIGURATION = """
[tool.pytest]
asyncio_default_fixture_loop_scope = "function"
memleak_app = "{app}"
memleak_duration = "1h"  # 60 iterations, the fewest that are judged
memleak_max_growth = "5MB/24h"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the check of one framework's app said.

    Args:
        said: for each test, the JUnit properties without their prefix.
        source: of the app.
    """

    said: dict[str, dict[str, str]]
    source: list[str]

    def verdicts(self) -> dict[str, str]:
        """The verdict of each test."""
        return {name: said["verdict"] for name, said in self.said.items()}

    def line_of(self, comment: str) -> str:
        """The place of the line that ends in `comment`, as reports write it."""
        return f"app.py:{1 + next(i for i, line in enumerate(self.source) if line.endswith(comment))}"


@pytest.fixture
def check_app(pytester: pytest.Pytester) -> Callable[..., Checked]:
    """Check the app of one framework with the given tests."""

    def check(framework: str, tests: str) -> Checked:
        source = (APPS / f"{framework}_app.py").read_text(encoding="utf-8")
        pytester.path.joinpath("app.py").write_text(source, encoding="utf-8")
        # A factory where an app can be started only once.
        app = "app:make_app()" if "def make_app()" in source else "app:app"
        pytester.path.joinpath("pyproject.toml").write_text(CONFIGURATION.format(app=app), encoding="utf-8")
        pytester.makepyfile(test_it=tests)
        pytester.runpytest_subprocess("--memcheck", "--junitxml=junit.xml", "--timeout=100")
        said = {
            case.get("name", ""): {
                item.get("name", "").removeprefix("memleak."): item.get("value", "")
                for item in case.iter("property")
                if item.get("name", "").startswith("memleak.")
            }
            for case in ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
        }
        return Checked(said=said, source=source.splitlines())

    return check
