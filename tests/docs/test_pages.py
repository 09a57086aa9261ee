"""What the pages name exists: options, settings, files; and their short examples are Python, TOML or commands."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_memleak.settings import DEFAULTS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language in languages and "--8<--" not in text:
            yield text


def named(page: Path) -> str:
    return str(page.relative_to(ROOT / "docs"))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_options_exist(page, pages):
    text = page.read_text(encoding="utf-8")
    options = pages["reference/options.md"]
    flags = set(re.findall(r"--memcheck[a-z-]*", text))
    values = set(re.findall(r"\bmemleak_\w+", text)) - {"memleak_app", "memleak_client"}

    assert {name for name in flags if not re.search(rf"`{name}[ `]", options)} == set()
    assert {name for name in values if f"`{name}`" not in options} == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_arguments_of_the_marker_exist(page):
    calls = re.findall(r"mark\.memleak\(([^)]*)\)", page.read_text(encoding="utf-8"))

    assert {name for call in calls for name in re.findall(r"(\w+)=", call)} <= set(DEFAULTS)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_short_examples_are_what_they_say(page):
    for text in blocks(page, "python"):
        ast.parse(text)
    for text in blocks(page, "toml"):
        tomllib.loads(text)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_examples_are_included_from_files(page):
    """What is long enough to be wrong is a file that a test runs."""
    assert [text for text in blocks(page, "python") if len(text.splitlines()) > 4] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_included_files_exist(page):
    text = page.read_text(encoding="utf-8")
    included = re.findall(r'^--8<-- "([^":]+)(?::\w+)?"$', text, re.MULTILINE)

    assert len(included) == len(re.findall(r"8 ?<", text))
    assert [path for path in included if not (ROOT / path).is_file()] == []


def test_every_example_is_shown():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    folders = {path.name for path in (ROOT / "docs" / "examples").iterdir()}

    unseen = folders - set(re.findall(r"docs/examples/(\w+)", text))
    assert unseen == set()
