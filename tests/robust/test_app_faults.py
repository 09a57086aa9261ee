"""What an app may do to the process that checks it."""

from __future__ import annotations


def test_faults_that_are_none_of_ours(project, faulty, requesting, verdicts):
    """The check comes to its verdict, and leaves what the app has changed as the app left it."""
    harmless = ("gc", "tracemalloc", "policy", "fork", "spawn", "terminate", "takes_sigterm", "gives_back", "settime")
    faulty(*(requesting(path, fixtures="undo") for path in (*harmless, "closes_descriptors")))

    result = project.runpytest_subprocess("--memcheck")

    result.assert_outcomes(passed=3 * 10)
    found = verdicts()
    assert {name: reason.partition(":")[0] for name, reason in found.items()} == {
        f"test_{path}": "PASSED" for path in (*harmless, "closes_descriptors")
    }


def test_requests_that_fail(project, faulty, requesting, verdicts):
    sending = (
        "@pytest.mark.memleak({})\nasync def test_{}(memleak):\n    await memleak.send([('GET', '/{}')], count=10)\n"
    )
    faulty(sending.format("", "some_500", "tenth"), sending.format("", "all_500", "500"), requesting("tenth"))

    result = project.runpytest_subprocess("--memcheck")

    result.assert_outcomes(passed=8, failed=1)
    found = verdicts()
    assert found["test_all_500"].startswith("INCONCLUSIVE: 600 of 600 requests failed with an unhandled exception")
    assert found["test_some_500"].startswith("PASSED")
    assert found["test_tenth"].startswith("ERROR: RuntimeError: broken by request 10 (in iteration 9)")


def test_loops_that_are_closed_or_stopped(project, faulty, requesting, verdicts):
    faulty(requesting("close_loop"), requesting("stop_loop"))

    result = project.runpytest_subprocess("--memcheck")

    result.assert_outcomes(passed=4, failed=2)
    assert verdicts() == {
        "test_close_loop": "ERROR: RuntimeError: Cannot close a running event loop (in iteration 9)",
        "test_stop_loop": "ERROR: RuntimeError: Event loop stopped before Future completed. (in iteration 9)",
    }


def test_under_coverage_and_tracemalloc(project, requesting, verdicts, faulty, all_plugins):
    """Somebody else measures already: they keep measuring, and the check comes to its verdict."""
    faulty(requesting("ok"), requesting("leak"))
    project.path.joinpath("conftest.py").open("a").write(
        "\ntracemalloc.start(3)\n"
        "@pytest.fixture\ndef as_before():\n    assert tracemalloc.is_tracing()\n"
        "    assert tracemalloc.get_traceback_limit() == 3\n"
    )

    result = project.runpytest_subprocess("--memcheck", "--cov=app", "--cov-report=term")

    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["app.py *%"])
    assert verdicts()["test_leak"].startswith("LEAK")
    assert verdicts()["test_ok"].startswith("PASSED")
