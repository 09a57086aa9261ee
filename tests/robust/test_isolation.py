"""A checked test in a fresh process: its result comes back as if it had run here."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

ISOLATED = """
import ctypes, os, resource, signal
import pytest

kept = []
pytestmark = pytest.mark.memleak(isolate=True)


@pytest.fixture(scope="session")
def process():
    return os.getpid()


@pytest.fixture
def dying():
    os._exit(7)


@pytest.fixture
def failing_at_its_end():
    yield
    raise OSError("bad end")


@pytest.mark.memleak(isolate=True)
def test_ok(process, memleak, record_property):
    assert process == os.getpid() != int(os.environ["SESSION"])
    if memleak.iteration == 0:
        record_property("own", "value")
    print("printed by iteration", memleak.iteration)


async def test_assertion(memleak):
    assert memleak.iteration < 5


async def test_leak(memleak_client):
    await memleak_client.get("/leak")


def test_segv(memleak):
    if memleak.iteration == 20:
        ctypes.string_at(0)


def test_out_of_memory(memleak):
    # What the kernel does at a cgroup's limit is SIGKILL; at an rlimit malloc fails, and C code gives up.
    if memleak.iteration == 3:
        resource.setrlimit(resource.RLIMIT_AS, (400_000_000, 400_000_000))
    try:
        kept.append(bytes(40_000_000))
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)


def test_setup(dying):
    pass


def test_teardown(failing_at_its_end):
    pass


@pytest.mark.xfail
def test_xfail():
    assert False


@pytest.mark.memleak(isolate=False)
def test_here(process):
    assert process == os.getpid()
"""

CONFTEST = """
import os
os.environ.setdefault("SESSION", str(os.getpid()))
"""


@pytest.fixture
def isolated(project):
    project.makeconftest(CONFTEST)
    project.makepyfile(test_isolated=ISOLATED)
    return project


def test_results_come_back(isolated, verdicts):
    result = isolated.runpytest_subprocess("--memcheck", "-n2", "--junitxml=junit.xml", "-rA")

    result.assert_outcomes(passed=3, failed=4, errors=2, xfailed=1)
    ended = "in iteration 20; the test ran in a process of its own)"
    assert {name: reason for name, reason in verdicts().items() if reason.startswith("ERROR")} == {
        "test_assertion": "ERROR: AssertionError: assert 5 < 5 (in iteration 5)",
        "test_segv": f"ERROR: the process was killed by SIGSEGV ({ended}",
        "test_out_of_memory": "ERROR: the process was killed by SIGKILL, as the system does when memory runs out "
        f"(in iteration {verdicts()['test_out_of_memory'].partition('iteration ')[2].partition(';')[0]}; "
        "the test ran in a process of its own)",
        "test_setup": "ERROR: the process ended with exit status 7 before the test was over "
        "(in the test's setup; the test ran in a process of its own)",
        "test_xfail": "ERROR: AssertionError: assert False (in iteration 0)",
    }
    assert verdicts()["test_leak"].startswith("LEAK")
    result.stdout.fnmatch_lines_random(["Fatal Python error: Segmentation fault", "*, line * in test_segv"])
    cases = {case.get("name"): case for case in ElementTree.parse(isolated.path / "junit.xml").iter("testcase")}
    found = {item.get("name"): item.get("value") for item in cases["test_ok"].iter("property")}
    assert (found["own"], found["memleak.verdict"], found["memleak.iterations"]) == ("value", "passed", "60")
    assert {item.get("name"): item.get("value") for item in cases["test_segv"].iter("property")}[
        "memleak.iterations"
    ] == "20"
    assert "printed by iteration 59" in (result.stdout.str())


def test_options_of_the_session(isolated, all_plugins):
    """The fresh process writes none of the session's files, forgets none of its failures, and is covered."""
    failing, leaking = "test_isolated.py::test_assertion", "test_isolated.py::test_leak"
    first = isolated.runpytest_subprocess("--memcheck", failing, "test_isolated.py::test_here")
    first.assert_outcomes(passed=1, failed=1)
    isolated.makepyfile(test_isolated=ISOLATED.replace("iteration < 5", "iteration < 500"))

    again = isolated.runpytest_subprocess("--memcheck", "--lf", "--junitxml=junit.xml", "-k", "assertion or leak")
    again.assert_outcomes(passed=1)
    assert len(list(ElementTree.parse(isolated.path / "junit.xml").iter("testcase"))) == 1
    assert isolated.path.joinpath(".pytest_cache/v/cache/lastfailed").read_text(encoding="utf-8") == "{}"

    covered = isolated.runpytest_subprocess("--memcheck", "--cov=app", "--cov-report=term", leaking)
    covered.assert_outcomes(failed=1)
    (line,) = [line for line in covered.outlines if line.startswith("app.py")]
    assert "0%" not in line.split()


@pytest.mark.parametrize("flag", ["--pdb", "--trace"])
def test_debugger_is_refused(isolated, flag):
    refused = "an isolated test runs in a process that a debugger cannot reach: leave out --pdb and --trace, or isolate"

    session = isolated.runpytest_subprocess("--memcheck", "--memcheck-isolate", flag)
    assert session.ret == pytest.ExitCode.USAGE_ERROR
    session.stderr.fnmatch_lines([f"ERROR: memleak: {refused}"])
