"""Reports of real runs: every format says the same, from one process and from two."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import jsonschema
import pytest

from pytest_memleak.report.schema import record_schema

CONFIGURATION = """
[tool.pytest]
memleak_duration = "1h"  # 60 iterations, the fewest that are judged
"""
TESTS = """
import pytest

kept = []


@pytest.mark.memleak
def test_leaking():
    kept.append(bytearray(800_000))


@pytest.mark.memleak
def test_healthy():
    bytearray(800_000)


@pytest.mark.memleak
def test_broken():
    raise RuntimeError("broken")
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with a leaking, a healthy and a broken test."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    pytester.path.joinpath("pyproject.toml").write_text(CONFIGURATION, encoding="utf-8")
    pytester.makepyfile(test_app=TESTS)
    return pytester


@pytest.fixture
def record(project: pytest.Pytester) -> Callable[[], dict]:
    """The record that the last run wrote, valid."""

    def read() -> dict:
        found = json.loads((project.path / "out.json").read_text(encoding="utf-8"))
        jsonschema.validate(found, record_schema())
        return found

    return read


def verdicts(found: dict) -> dict[str, str]:
    return {entry["nodeid"].rpartition("::")[2]: entry["verdict"] for entry in found["tests"]}


FILES = ("leak_report.txt", "out.json", "page.html")


@pytest.mark.parametrize(
    "workers", [(), ("-n", "2"), ("--memcheck-isolate",)], ids=["one process", "two workers", "fresh processes"]
)
def test_every_report_says_the_same(project, record, monkeypatch, workers, all_plugins):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path.parent))

    result = project.runpytest_subprocess(
        "--memcheck", "--memcheck-json=out.json", "--memcheck-html=page.html", "--junitxml=junit.xml",
        "--html=all.html", "--self-contained-html", *workers,
    )  # fmt: skip

    result.assert_outcomes(failed=2, passed=1)
    for name in FILES:
        result.stdout.fnmatch_lines([f"memleak: report written to {project.path / name}"])
    found = record()
    assert verdicts(found) == {"test_leaking": "leak", "test_healthy": "passed", "test_broken": "error"}
    leaking = next(entry for entry in found["tests"] if entry["verdict"] == "leak")
    columns = leaking["samples"]
    assert {len(column) for column in columns.values()} == {60}
    assert {"rss_bytes", "live_bytes", "fd_count", "thread_count"} <= set(columns)
    assert leaking["warm_up_iterations"] >= 1
    message = leaking["message"]
    assert message.startswith("grows by")
    for name in ("leak_report.txt", "page.html", "summary.md"):
        text = (project.path / name).read_text(encoding="utf-8")
        assert "test_app.py:8" in re.sub("&#(95|58);", lambda found: chr(int(found[1])), text), name
        assert message.split(" (")[0] in " ".join(text.split()), name
    line = (
        f"::error file={project.path.name}/test_app.py,line=8,title=test_app.py%3A%3Atest_leaking::memory leak: grows"
    )
    result.stdout.fnmatch_lines([f"{line}*"])
    junit = ElementTree.parse(project.path / "junit.xml")
    assert_junit(junit.getroot())
    said = [item.get("value") for item in junit.iter("property") if item.get("name") == "memleak.verdict"]
    assert sorted(said) == ["error", "leak", "passed"]
    assert "1 entry per iteration" in (project.path / "all.html").read_text(encoding="utf-8")


CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "testcase": {"properties", "skipped", "error", "failure", "system-out", "system-err"},
    "properties": {"property"},
}
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "id", "package"},
    "testcase": {"name", "assertions", "time", "classname", "status"},
    "property": {"name", "value"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
}
"""The rules of Jenkins' JUnit schema, with the properties of a test case, which its JUnit plugin reads."""


def assert_junit(element: ElementTree.Element) -> None:
    assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    assert set(element.keys()) <= ATTRIBUTES.get(element.tag, set())
    if element.tag == "property":
        assert set(element.keys()) == {"name", "value"}
    for child in element:
        assert_junit(child)


HOSTILE_TESTS = """
import pytest

HOSTILE = ["<script>alert(1)</script>", "]]>", "a\\nb", "x' y\\"", "{{ 7 * 7 }}", "👩‍👩‍👧", "::error::x", "x" * 3000]


@pytest.mark.memleak(explain=False)
@pytest.mark.parametrize("value", range(len(HOSTILE)), ids=HOSTILE)
def test_hostile(value):
    raise RuntimeError(HOSTILE[value])
"""


def test_hostile_names_in_every_report(project, record, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    project.makepyfile(test_app=HOSTILE_TESTS)

    result = project.runpytest_subprocess(
        "--memcheck", "--memcheck-json=out.json", "--memcheck-html=page.html", "--junitxml=junit.xml", "-q"
    )

    result.assert_outcomes(failed=8)
    assert "INTERNALERROR" not in result.stdout.str()
    assert set(verdicts(record()).values()) == {"error"}
    assert_junit(ElementTree.parse(project.path / "junit.xml").getroot())
    page = (project.path / "page.html").read_text(encoding="utf-8")
    summary = (project.path / "summary.md").read_text(encoding="utf-8")
    assert "<script" not in page + summary
    assert "{{ 7" in page  # shown as it is, not computed
    commands = [line for line in result.outlines if line.startswith("::")]
    assert len(commands) == 8
    assert all(line.startswith("::error title=") for line in commands)


GROWING = """
import pytest

kept = []


@pytest.mark.memleak(max_growth="10GB/h", explain=False)
def test_growing():
    kept.append(bytearray({size}))
"""


def test_regression_against_a_baseline(project, record):
    def checked(size: int, *flags: str) -> pytest.RunResult:
        project.makepyfile(test_app=GROWING.format(size=size))
        return project.runpytest_subprocess("--memcheck", "--memcheck-json=out.json", *flags)

    result = checked(100_000, "--memcheck-save", "main")
    result.assert_outcomes(passed=1)
    path = project.path / ".memleak" / "main.json"
    result.stdout.fnmatch_lines([f"memleak: baseline written to {path}"])
    before = path.read_bytes()

    result = checked(100_000, "--memcheck-compare", ".memleak/main.json", "--memcheck-compare-fail", "10%")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["Compared with the baseline 'main', which may be exceeded by 10 %: 1 unchanged"])

    result = checked(
        200_000, "--memcheck-compare", "main", "--memcheck-compare-fail=10%", "-n1", "--junitxml=junit.xml"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*memory leak: live grows by * per iteration, * in the baseline: * more, ± * (baseline 'main')*"]
    )
    assert record()["baseline"]["fail_over_percent"] == 10
    assert [finding["kind"] for finding in record()["tests"][0]["findings"]][-1] == "baseline_regression"
    assert 'name="memleak.verdict" value="leak"' in (project.path / "junit.xml").read_text(encoding="utf-8")
    assert path.read_bytes() == before


def test_new_and_gone_tests_are_said(project):
    project.runpytest_subprocess("--memcheck", "--memcheck-save", "main", "-k", "healthy")

    result = project.runpytest_subprocess(
        "--memcheck", "--memcheck-compare", "main", "--memcheck-no-explain", "-k", "leaking"
    )

    result.stdout.fnmatch_lines(
        [
            "Compared with the baseline 'main': 0 unchanged, and",
            "  new: test_app.py::test_leaking: not in the baseline; save the baseline again to include it",
            "  gone: test_app.py::test_healthy: in the baseline, not checked now",
        ]
    )
    assert not any(line.startswith("::") for line in result.outlines)  # those are for GitHub only
    assert "gone" in (project.path / "leak_report.txt").read_text(encoding="utf-8")


MISTAKES = {
    ("--memcheck-save", "../x"): "--memcheck-save: '../x' is not a name of letters, digits, '_', '-' and '.'",
    ("--memcheck-save", "damaged"): "*damaged.json is not JSON, or is damaged: *",
    ("--memcheck-save", "newer"): "*newer.json has schema 9, and this pytest-memleak reads up to 1; upgrade*",
    ("--memcheck-compare", "damaged"): "*damaged.json is not JSON, or is damaged: *",
    ("--memcheck-compare", "newer"): "*newer.json has schema 9, and this pytest-memleak reads up to 1; upgrade*",
    ("--memcheck-compare", "none"): "--memcheck-compare: there is no baseline *none.json; write it with --memcheck --*",
    ("--memcheck-compare", "x/none.json"): "--memcheck-compare: there is no baseline */x/none.json",
    (
        "--memcheck-compare",
        "good",
        "--memcheck-compare-fail",
        "10",
    ): "--memcheck-compare-fail: '10' is not a percentage*",
    ("--memcheck-compare-fail", "10%"): "--memcheck-compare-fail has no effect without --memcheck-compare; add it",
    ("--memcheck-json", ""): "--memcheck-json is empty; give the path of a file",
    ("--memcheck-json", "a", "--memcheck-html", "a"): "--memcheck-json and --memcheck-html name the same file *",
}
BASELINES = {
    "good": '{"kind": "pytest-memleak baseline", "schema": 1, "tests": {}}',
    "newer": '{"kind": "pytest-memleak baseline", "schema": 9, "tests": {}}',
    "damaged": '{"kind": "pytest-memleak',
}


@pytest.mark.parametrize("flags", MISTAKES, ids=" ".join)
def test_flag_that_cannot_be_used(project, flags):
    folder = project.mkdir(".memleak")
    for name, content in BASELINES.items():
        (folder / f"{name}.json").write_text(content, encoding="utf-8")

    result = project.runpytest_inprocess("--memcheck", *flags)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {MISTAKES[flags]}"])
    assert {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()} == BASELINES


@pytest.mark.parametrize(
    "flag", ["--memcheck-json=a", "--memcheck-html=a", "--memcheck-save=a", "--memcheck-compare=a"]
)
def test_flag_without_memcheck(project, flag):
    result = project.runpytest_inprocess(flag)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {flag[:-2]} has no effect without --memcheck; add --memcheck or remove it"])


def test_html_without_its_libraries(project, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "pygal" else found(name, *more)
    )

    result = project.runpytest_inprocess("--memcheck", "--memcheck-html=page.html")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: the HTML report needs pygal: pip install 'pytest-memleak[html]'"])


def test_report_that_cannot_be_written_stops_no_other(project, record):
    (project.path / "page.html").mkdir()

    result = project.runpytest_subprocess(
        "--memcheck", "--memcheck-html=page.html", "--memcheck-json=out.json", "-k", "healthy"
    )

    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(
        ["memleak: the report *page.html could not be written (Is a directory); the verdicts stand"]
    )
    assert verdicts(record()) == {"test_healthy": "passed"}
