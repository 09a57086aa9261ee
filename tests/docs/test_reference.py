"""The reference has every option, argument, fixture, hook and name that the code has."""

from __future__ import annotations

import re

import pytest

import pytest_memleak
from pytest_memleak import hookspecs
from pytest_memleak.report.schema import record_schema
from pytest_memleak.sense.probes import BUILT_IN
from pytest_memleak.settings import DEFAULTS


@pytest.fixture(scope="module")
def told(tmp_path_factory, shell):
    """What pytest itself tells with an option, in an empty project."""
    where = tmp_path_factory.mktemp("empty")
    (where / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return lambda option: shell(f"pytest {option}", where).stdout


def test_every_option_that_pytest_shows(pages, told):
    helped = told("--help")
    flags = set(re.findall(r"--memcheck[a-z-]*", helped))
    values = set(re.findall(r"^ +(memleak_\w+)", helped, re.MULTILINE))

    assert len(flags) > 20
    assert len(values) > 20
    page = pages["reference/options.md"]
    assert {name for name in flags if not re.search(rf"^\| `{name}[ `]", page, re.MULTILINE)} == set()
    assert {name for name in values if f"| `{name}` |" not in page} == set()


def test_every_argument_of_the_marker(pages, told):
    rows = set(re.findall(r"^\| `(\w+)` \| `.+?` \| .+ \|$", pages["reference/marker.md"], re.MULTILINE))

    assert rows == set(DEFAULTS)
    signature = re.search(r"@pytest.mark.memleak\((.*?)\): ", told("--markers"), re.DOTALL)
    assert signature is not None
    assert set(re.findall(r"(\w+)=", signature[1])) == set(DEFAULTS)


def test_every_fixture(pages, told):
    fixtures = set(re.findall(r"^(memleak\w*)", told("--fixtures"), re.MULTILINE))

    assert len(fixtures) == 3
    assert {name for name in fixtures if f"## `{name}`\n" not in pages["reference/fixtures.md"]} == set()


def test_every_member_of_the_run(pages):
    members = [name for name in vars(pytest_memleak.Memleak) if not name.startswith("_")]

    assert {"send", "clock", "watch"} <= set(members)
    for name in members:
        assert f"::: pytest_memleak.api.Memleak.{name}\n" in pages["reference/fixtures.md"]


def test_every_hook_and_public_name(pages):
    everything = "".join(pages.values())
    names = [f"hookspecs.{name}" for name in vars(hookspecs) if name.startswith("pytest_memleak")]
    names += [name for name in pytest_memleak.__all__ if name != "Memleak"]

    assert [name for name in names if f"::: pytest_memleak.{name}\n" not in everything] == []


def test_every_command(pages, shell, tmp_path):
    helped = shell("python -m pytest_memleak --help", tmp_path).stdout
    commands = re.findall(r"^    (\w+) ", helped, re.MULTILINE)

    assert len(commands) >= 4
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", pages["reference/command-line.md"], re.M | re.S))
    assert set(sections) == set(commands)
    for command in commands:
        helped = shell(f"python -m pytest_memleak {command} --help", tmp_path).stdout
        flags = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", helped, re.MULTILINE))  # those it declares
        assert {flag for flag in flags - {"--help"} if f"`{flag}" not in sections[command]} == set()


def test_every_client_library(pages):
    missing = [probe for probe in BUILT_IN if f"`{probe.library}`" not in pages["reference/clients.md"]]

    assert missing == []


def test_every_key_of_the_schema(pages):
    page = pages["reference/schema.md"]
    for definition in record_schema()["$defs"].values():
        for key in definition.get("properties", {}):
            assert f"| `{key}` |" in page


def test_junit_properties_of_a_run(pages, folder, shell):
    where = folder("docs/examples/login")

    checked = shell("pytest --memcheck --junitxml=junit.xml", where)

    assert checked.returncode == 0, checked.stdout
    names = set(re.findall(r'name="(memleak\.\w+)"', (where / "junit.xml").read_text(encoding="utf-8")))
    assert {name for name in names if f"`{name}`" not in pages["reference/junit.md"]} == set()
    assert len(names) > 10


def test_results_with_and_without(generated, tmp_path):
    assert "python -m benchmarks" in generated.pages(tmp_path)["results.md"]

    (tmp_path / "benchmarks").mkdir()
    text = "# Results\n\n[source](cases.py), [a site](https://example.org), [below](#x)\n"
    (tmp_path / "benchmarks" / "RESULTS.md").write_text(text, encoding="utf-8")

    expected = "# Results\n\nsource, [a site](https://example.org), [below](#x)\n"
    assert generated.pages(tmp_path)["results.md"].endswith(f"---\n\n{expected}")
