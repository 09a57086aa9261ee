"""A checked test in a fresh process: its result comes back as if it had run here."""

from __future__ import annotations

import os
import signal
import sys
import xml.etree.ElementTree as ElementTree

import pytest

ISOLATED = """
import ctypes, os, resource, signal
import psutil
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


def test_killed(memleak):
    # What the kernel does at a cgroup's limit.
    if memleak.iteration == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def test_out_of_memory(memleak):
    if memleak.iteration == 3:
        limit = psutil.Process().memory_info().vms + 60_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    kept.append(bytes(10_000_000))


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

    result.assert_outcomes(passed=3, failed=5, errors=2, xfailed=1)
    ended = "in iteration 20; the test ran in a process of its own)"
    assert {name: reason for name, reason in verdicts().items() if reason.startswith("ERROR")} == {
        "test_assertion": "ERROR: AssertionError: assert 5 < 5 (in iteration 5)",
        "test_segv": f"ERROR: the process was killed by SIGSEGV ({ended}",
        "test_killed": "ERROR: the process was killed by SIGKILL, as the system does when memory runs out "
        "(in iteration 3; the test ran in a process of its own)",
        "test_out_of_memory": verdicts()["test_out_of_memory"],
        "test_setup": "ERROR: the process ended with exit status 7 before the test was over "
        "(in the test's setup; the test ran in a process of its own)",
        "test_xfail": "ERROR: AssertionError: assert False (in iteration 0)",
    }
    assert verdicts()["test_out_of_memory"].startswith("ERROR: MemoryError (in iteration ")
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

    marked = isolated.runpytest_subprocess("--memcheck", flag, "test_isolated.py::test_ok")
    marked.assert_outcomes(errors=1)
    marked.stdout.fnmatch_lines([f"*test_isolated.py::test_ok: {refused}"])


@pytest.fixture
def only_plugins(monkeypatch):
    """The options that load only these plugins and what every check needs: each process starts sooner."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return lambda *names: [part for name in ("asyncio", "memleak", *names) for part in ("-p", name)]


ENDS = """
import os, threading
import pytest

pytestmark = pytest.mark.memleak(isolate=True)
kept = []


def ran(name):
    with open(name, "a") as file:
        file.write("x")


@pytest.fixture
def dying():
    yield
    os._exit(7)


def test_leak_then_death(memleak, dying):
    kept.append(bytearray(b"x") * 1_000_000)


@pytest.mark.memleak(isolate=False)
def test_here_after_death(tmp_path):
    pass


@pytest.mark.xfail(strict=True)
def test_strict_xfail(memleak):
    assert memleak.iteration < 5


@pytest.mark.xfail(strict=True)
def test_strict_xpass():
    pass


def test_folder(tmp_path):
    assert tmp_path.is_relative_to(os.path.abspath("made/base"))


@pytest.mark.flaky(reruns=1)
def test_flaky(memleak):
    if memleak.iteration == 0:
        ran("flaky")
    assert False


@pytest.mark.timeout(4, method="thread")
def test_hangs(memleak):
    if memleak.iteration == 8:
        threading.Event().wait()


@pytest.mark.parametrize("process", [os.getpid()])
def test_elsewhere(process):
    pass


def test_exit(memleak):
    if memleak.iteration == 5:
        pytest.exit("enough", 2)


@pytest.mark.memleak(isolate=False)
def test_not_reached():
    ran("not reached")
"""


def test_every_end_is_as_in_one_process(project, verdicts, only_plugins):
    project.makepyfile(test_ends=ENDS)
    plugins = only_plugins("timeout", "rerunfailures")

    result = project.runpytest_subprocess(*plugins, "--memcheck", "--basetemp=made/base", "--junitxml=junit.xml")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert result.parseoutcomes() == {"failed": 4, "passed": 2, "xfailed": 1, "errors": 2, "rerun": 1}
    assert (project.path / "flaky").read_text() == "xx"
    assert not (project.path / "not reached").exists()
    found, own = verdicts(), "the test ran in a process of its own)"
    for name in ("test_leak_then_death", "test_strict_xpass", "test_folder", "test_here_after_death"):
        found[name] = found[name].partition(":")[0]
    assert found == {
        "test_leak_then_death": "LEAK",
        "test_here_after_death": "PASSED",
        "test_strict_xfail": "ERROR: AssertionError: assert 5 < 5 (in iteration 5)",
        "test_strict_xpass": "PASSED",
        "test_folder": "PASSED",
        "test_flaky": "ERROR: AssertionError: assert False (in iteration 0)",
        "test_hangs": f"ERROR: the process ended with exit status 1 before the test was over (in iteration 8; {own}",
        f"test_elsewhere[{name_of(found)}]": "ERROR: the test was not collected there: its id must be the same in "
        f"every process (in the test's setup; {own}",
        "test_exit": f"ERROR: _pytest.outcomes.Exit: enough (in iteration 5; {own}",
    }
    note = "note: the process ended with exit status 7 before the test was over (in the test's teardown;"
    assert note in (project.path / "leak_report.txt").read_text(encoding="utf-8")
    result.stdout.fnmatch_lines(["*, in test_hangs", "*+ Timeout +*"])
    told = {
        item.get("value")
        for case in ElementTree.parse(project.path / "junit.xml").iter("testcase")
        for item in case.iter("property")
        if (case.get("name"), item.get("name")) == ("test_leak_then_death", "memleak.verdict")
    }
    assert told == {"leak"}


def name_of(found):
    """What the test that has another id in every process is called here."""
    return next(name for name in found if name.startswith("test_elsewhere")).removeprefix("test_elsewhere[")[:-1]


def test_folder_of_the_session_shadows_no_library(pytester, shell, only_plugins):
    """As `pytest` itself, which does not put the folder it is started in on the path."""
    pytester.path.joinpath("httpx.py").write_text("raise RuntimeError('not the library')\n")
    pytester.mkdir("tests").joinpath("test_it.py").write_text("def test_it():\n    import httpx\n")
    options = " ".join([*only_plugins(), "--memcheck-all", "--memcheck-isolate", "-o memleak_duration=1h"])

    result = shell(f"pytest {options} tests", pytester.path)

    assert "1 passed" in result.stdout


def test_process_ends_with_the_session(isolated, only_plugins):
    """Nobody would read the result of a process whose session was killed."""
    isolated.makepyfile(
        test_gone="""
        import os
        import pytest

        @pytest.mark.memleak(isolate=True)
        def test_on_its_own(memleak):
            if memleak.iteration == 2:
                held = os.open("alive", os.O_WRONLY)
                os.kill(os.getppid(), 9)
                while True:
                    pass
        """
    )
    os.mkfifo(isolated.path / "alive")
    session = isolated.popen([sys.executable, "-m", "pytest", *only_plugins(), "--memcheck", "test_gone.py"])

    with (isolated.path / "alive").open() as alive:
        assert alive.read() == ""  # the last writer has gone
    assert session.wait() == -signal.SIGKILL
