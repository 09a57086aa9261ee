"""A leak of a dependency: the report has the text of an issue, and nothing of the app in it."""

from __future__ import annotations

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
