"""Whatever ends a check in the middle, the tests after it find the process as it was before."""

from __future__ import annotations

import html
import json

import pytest

from pytest_memleak.report.schema import first_problem


def test_timeout_of_pytest_timeout(project, faulty, requesting, verdicts):
    """Its handler raises in the event loop, where no coroutine sees it."""
    faulty(
        "@pytest.mark.timeout(1, method='signal')\n" + requesting("wait"),
        "@pytest.mark.timeout(1, method='signal')\n" + requesting("block"),
        "@pytest.mark.timeout(1, method='signal')\n@pytest.mark.asyncio(loop_scope='module')\n"
        + requesting("wait").replace("test_wait", "test_module_loop"),
        "@pytest.mark.timeout(1, method='signal')\n@pytest.mark.memleak\n"
        "def test_plain(memleak):\n    if memleak.iteration == 5:\n        app.block()\n",
    )

    result = project.runpytest_subprocess("--memcheck", "-p", "no:rerunfailures")

    result.assert_outcomes(failed=4, passed=8)
    assert verdicts() == {
        "test_wait": "ERROR: Failed: Timeout (>1.0s) from pytest-timeout. (in iteration 9)",
        "test_block": "ERROR: Failed: Timeout (>1.0s) from pytest-timeout. (in iteration 9)",
        "test_module_loop": "ERROR: Failed: Timeout (>1.0s) from pytest-timeout. (in iteration 9)",
        "test_plain": "ERROR: Failed: Timeout (>1.0s) from pytest-timeout. (in iteration 5)",
    }


@pytest.mark.parametrize(("path", "simulated"), [("interrupt", True), ("terminated", False)])
def test_end_of_the_session(project, faulty, requesting, verdicts, path, simulated):
    """Ctrl-C and SIGTERM: the app is shut down, the report holds what is known."""
    project.path.joinpath("conftest.py").open("a").write(
        "\ndef pytest_sessionfinish():\n    import app\n    print(app.lifespans, file=open('lifespans', 'w'))\n"
        "    assert httpx.AsyncClient.__init__ is BEFORE['client']\n"
        "    assert abs(time.time() - os.stat('lifespans').st_mtime) < 60\n"
    )
    faulty(requesting("ok"), requesting(path, f"simulate_time={simulated}"))

    result = project.runpytest_subprocess("--memcheck")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(passed=3)
    assert "INTERNALERROR" not in result.stdout.str()
    assert project.path.joinpath("lifespans").read_text() == "['startup', 'shutdown']\n"
    assert verdicts()["test_ok"].startswith("PASSED")
    assert verdicts()[f"test_{path}"].endswith("(in iteration 9)")


def test_second_interrupt(project, faulty, verdicts):
    """Ctrl-C again while the app is shut down: nothing is left behind, and no task complains."""
    project.path.joinpath("conftest.py").open("a").write(
        "\ndef pytest_sessionfinish():\n    assert httpx.AsyncClient.__init__ is BEFORE['client']\n"
    )
    faulty(
        """
class Impatient:
    async def __call__(self, scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(3)


@pytest.fixture
def memleak_app():
    return Impatient()


@pytest.mark.memleak
async def test_twice(memleak, memleak_client):
    await memleak.clock.advance(1)
    if memleak.iteration == 8:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
"""
    )

    result = project.runpytest_subprocess("--memcheck")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert verdicts() == {"test_twice": "ERROR: KeyboardInterrupt (in iteration 8)"}
    assert "never retrieved" not in result.stdout.str() + result.stderr.str()


def test_interrupt_in_a_fixture(project, faulty, verdicts):
    faulty(
        "@pytest.fixture\ndef broken():\n    open('missing')\n"
        "@pytest.mark.memleak\ndef test_broken(broken):\n    pass\n"
        "@pytest.fixture\ndef failing():\n    pytest.fail('no server')\n"
        "@pytest.mark.memleak\ndef test_failing(failing):\n    pass\n"
        "@pytest.fixture\ndef slow():\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "@pytest.mark.memleak\ndef test_waiting(slow):\n    pass\n"
    )

    result = project.runpytest_subprocess("--memcheck")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert verdicts() == {
        "test_broken": "ERROR: setup failed: FileNotFoundError: [Errno 2] No such file or directory: 'missing'",
        "test_failing": "ERROR: setup failed: no server",
        "test_waiting": "ERROR: KeyboardInterrupt (in the test's setup)",
    }


def test_crash_of_a_worker(project, faulty, requesting, verdicts, monkeypatch):
    """The controller knows which checks were started, and says what became of them."""
    faulty(requesting("ok"), requesting("crash"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))

    result = project.runpytest_subprocess(
        "--memcheck", "-n2", "--memcheck-json=record.json", "--memcheck-html=report.html", "--memcheck-save=main"
    )

    result.assert_outcomes(failed=1, passed=5)
    assert verdicts()["test_ok"].startswith("PASSED")
    assert verdicts()["test_crash"] == "ERROR: the process that ran the test ended in the middle of it"
    # Nobody knows how many iterations there were.
    record = json.loads(project.path.joinpath("record.json").read_text(encoding="utf-8"))
    assert first_problem(record) is None
    crashed, ok = sorted(record["tests"], key=lambda entry: entry["nodeid"])
    assert (crashed["iterations"], ok["iterations"]) == (None, 60)
    assert "\n  run         0 iterations" not in project.path.joinpath("leak_report.txt").read_text(encoding="utf-8")
    result.stdout.re_match_lines([r"ERROR +test_faulty.py::test_crash$"])
    summary = project.path.joinpath("summary.md").read_text(encoding="utf-8")
    assert "| **error** | test_faulty.py::test_crash |  |  |  |  |" in html.unescape(summary)
    page = project.path.joinpath("report.html").read_text(encoding="utf-8")
    assert "test_faulty.py::test_crash</a></th>" + '<td class="number"></td>' * 4 in page


def test_stop_at_the_first_failure(project, faulty, requesting, verdicts):
    faulty(requesting("leak"), requesting("ok"))

    result = project.runpytest_subprocess("--memcheck", "--maxfail=1")

    result.assert_outcomes(failed=1)
    assert verdicts().keys() == {"test_leak"}
    assert verdicts()["test_leak"].startswith("LEAK")
