"""`python -m pytest_memleak scan APP`: the scan for people without tests, as they type it."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def command(project):
    def run(*arguments: str) -> pytest.RunResult:
        return project.run(sys.executable, "-m", "pytest_memleak", "scan", *arguments)

    return run


def test_without_tests_or_configuration(project, command):
    (project.path / "pyproject.toml").unlink()

    result = command("shop:app", "-k", "health or users", "--memcheck-duration=1h", "--memcheck-no-explain")

    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=1, deselected=6)
    result.stdout.fnmatch_lines(["LEAK *scan::GET /users/{user_id}", "passed *scan::GET /health"])
    assert result.stderr.str() == ""


def test_options_of_pytest(project, command):
    result = command("shop:app", "-k", "health or orders", "-n", "2", "--memcheck-html", "leaks.html")

    assert result.ret == 0
    result.assert_outcomes(passed=2)
    page = (project.path / "leaks.html").read_text(encoding="utf-8")
    assert "scan::GET /health" in page
    assert "scan::POST /orders" in page


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (
            "shopp:app",
            "the app 'shopp:app' cannot be imported: there is no module 'shopp' in the root directory or in ",
        ),
        ("shop:apps", "the app 'shop:apps' cannot be imported: shop has no 'apps'"),
        ("shop", "'shop' is not an import string; write it as 'package.module:app'"),
        ("shop:by_user", "'shop:by_user' is not an ASGI app"),
        ("exits:app", "the app 'exits:app' cannot be imported: importing 'exits' exits with 'set DATABASE_URL'; "),
    ],
)
@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_what_is_no_app_is_one_sentence(project, command, app, message, workers):
    project.makepyfile(exits="raise SystemExit('set DATABASE_URL')")

    result = command(app, workers)

    assert result.ret == 2
    assert result.stdout.str() == ""
    (said,) = [line for line in result.errlines if line]
    assert said.startswith(f"ERROR: --memcheck-scan: {message}")


def test_app_that_cannot_be_imported_shows_where(project, command):
    project.makepyfile(broken="import no_such_library")

    result = command("broken:app")

    assert result.ret == 2
    result.stdout.fnmatch_lines(["broken.py:1: in <module>", "E   ModuleNotFoundError: *'no_such_library'"])


def test_nothing_selected(command):
    result = command("shop:app", "-k", "nothing")

    assert result.ret == 2
    result.stdout.fnmatch_lines(["memleak: no operation of shop:app was checked"])


def test_missing_extra_is_said_once(project, command):
    project.makeconftest("import sys; sys.modules['schemathesis'] = None")

    result = command("shop:app", "-p", "no:schemathesis")

    assert result.ret == 2
    result.stdout.fnmatch_lines(
        [
            "'shop:app' has an OpenAPI document; making requests from one needs schemathesis: "
            "pip install 'pytest-memleak[[]scan]'"
        ]
    )
    assert result.stdout.str().count("needs schemathesis") <= 2  # and in pytest's short summary
