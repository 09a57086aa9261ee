"""A leak of a dependency: the report has the text of an issue, and nothing of the app in it."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_memleak.model import Finding
from pytest_memleak.report.upstream import at_fault, issue_text
from pytest_memleak.settings import make_settings
from pytest_memleak.verdict import Verdict

LIBRARY = """
_answers = []


def answer(question):
    _answers.append(bytearray(300_000))
    return len(question)
"""

APP = """
import leakylib


def secret_rule(text):
    return leakylib.answer(text)


kept = []


async def app(scope, receive, send):
    if scope["path"] == "/own":
        kept.append(bytearray(300_000))
    else:
        secret_rule("confidential")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""

TESTS = """
import pytest

@pytest.fixture
def memleak_app():
    return "shopfront:app"

@pytest.mark.memleak
@pytest.mark.parametrize("path", ["/theirs", "/own"])
async def test_leak(memleak, path):
    await memleak.send([("GET", path)], count=2)
"""


def test_issue_for_the_project_at_fault(pytester):
    installed = pytester.mkdir("site-packages")
    installed.joinpath("leakylib.py").write_text(LIBRARY, encoding="utf-8")
    pytester.makepyfile(shopfront=APP, test_shop=TESTS)
    pytester.path.joinpath("pyproject.toml").write_text(
        '[tool.pytest]\nasyncio_default_fixture_loop_scope = "function"\nmemleak_duration = "1h"\n'
        'pythonpath = ["site-packages", "."]\n',
        encoding="utf-8",
    )

    pytester.runpytest_subprocess("--memcheck").assert_outcomes(failed=2)

    report = pytester.path.joinpath("leak_report.txt").read_text(encoding="utf-8")
    assert report.count("This leak is ") == 1
    issue = report.partition("This leak is leakylib's. The text of an issue for its project:")[2].partition(
        "test_shop"
    )[0]
    assert "Memory leak in leakylib: grows by 3" in issue
    assert "\n- leakylib._answers (list, leakylib) grows by 1 entry per request" in issue
    assert "\nleakylib.py:6\n(the application)\n```" in issue
    assert "measured over 60 iterations of 2 requests" in issue
    for private in ("shopfront", "secret_rule", "confidential", "/theirs", str(pytester.path)):
        assert private not in issue


ALLOCATION = Finding(kind="allocation", summary="aiosqlite/core.py:115 keeps 885 B", owner="aiosqlite 0.20.0")
NATIVE = Finding(
    kind="native_allocation",
    summary="inner_bootstrap keeps 488 kB of native memory",
    details=(
        "stack, innermost first:",
        "  inner_bootstrap src/greenlet/greenlet.cpp:1379",
        "  green_switch src/greenlet/greenlet.cpp:2250",
        "  private_extension src/shopfront/rules.c:3",
        "  secret_rule shopfront.py:9",
    ),
    owner="greenlet 2.0.0",
)


def leak(cause: str, *findings: Finding) -> dict:
    found = Verdict(outcome="leak", message="grows", settings=make_settings({}), cause=cause, findings=findings)
    return found.as_dict("test_a.py::test_a")


@pytest.mark.parametrize("cause", ["native allocations: 488 kB per iteration", "memory maps: RSS grew 178.2 MB"])
def test_native_memory_is_its_own_codes_fault_not_of_a_line_that_keeps_a_little(cause):
    unknown = dataclasses.replace(NATIVE, owner=None)

    assert at_fault(leak(cause, NATIVE, ALLOCATION)) == "greenlet 2.0.0"
    assert at_fault(leak(cause, unknown, ALLOCATION)) is None
    assert at_fault(leak(cause, ALLOCATION)) is None
    assert at_fault(leak("Python objects: 885 B per iteration", ALLOCATION)) == "aiosqlite 0.20.0"


def test_an_issue_shows_the_native_frames_of_the_project():
    record = {"tool": {"version": "1"}, "environment": {"python": "CPython 3.13", "platform": "Linux"}}
    issue = issue_text(leak("native allocations: 488 kB", NATIVE), record)
    frames = "inner_bootstrap src/greenlet/greenlet.cpp:1379\ngreen_switch src/greenlet/greenlet.cpp:2250"

    assert f"\n```\n{frames}\n```\n" in issue
    assert "shopfront" not in issue
    assert "rules.c" not in issue
