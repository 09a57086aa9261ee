"""A checked test fails, skips, xfails and is run again like any other."""

from __future__ import annotations

import os
import signal

import pytest


def test_failing_assertion_names_its_iteration(project, memcheck, properties, report):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        async def test_a(memleak_client, memleak):
            response = await memleak_client.get("/ok")
            assert memleak.iteration < 7

        @pytest.mark.memleak
        def test_b():
            pass
        """
    )

    result = memcheck()

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([">       assert memleak.iteration < 7", "*in iteration 7 of at most 60*"])
    found = properties()["test_a"]
    assert (found["verdict"], found["iterations"]) == ("error", "7")
    assert "AssertionError: assert 7 < 7" in " ".join(report().split())


def test_output_of_the_failing_iteration_is_shown_and_of_no_other(project, memcheck):
    project.makepyfile(
        """
        import logging
        import pytest

        @pytest.mark.memleak
        def test_a(memleak):
            logging.warning("logged in %s", memleak.iteration)
            assert memleak.iteration < 7
        """
    )

    result = memcheck()

    result.stdout.fnmatch_lines(["*logged in 7"])
    result.stdout.no_fnmatch_line("*logged in 6")


def test_skip_xfail_and_exceptions(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        def test_skips():
            pytest.skip("no database")

        @pytest.mark.memleak
        async def test_skips_later(memleak):
            if memleak.iteration == 5:
                pytest.skip("enough")

        @pytest.mark.memleak
        @pytest.mark.skip(reason="marked")
        def test_marked_skip():
            pass

        @pytest.mark.memleak
        @pytest.mark.xfail(strict=True)
        def test_xfails():
            assert 0

        @pytest.mark.memleak
        @pytest.mark.xfail(strict=True, reason="known leak")
        async def test_known_leak(memleak_client):
            for _ in range(5):
                await memleak_client.get("/heap")

        @pytest.mark.memleak
        @pytest.mark.xfail(strict=True)
        def test_unexpected_pass():
            pass

        @pytest.mark.memleak
        def test_xfails_by_hand():
            pytest.xfail("not yet")

        @pytest.mark.memleak
        def test_pytest_fail():
            pytest.fail("by hand")
        """
    )

    result = memcheck("-rxXs")

    result.assert_outcomes(skipped=3, xfailed=3, failed=2)
    result.stdout.fnmatch_lines(["*XPASS(strict)*"])
    result.stdout.fnmatch_lines(["XFAIL *test_known_leak - known leak*"])
    found = {name: values["verdict"] for name, values in properties().items()}
    assert found["test_known_leak"] == "leak"
    assert found["test_skips"] == found["test_skips_later"] == "not_measured"
    assert found["test_unexpected_pass"] == "passed"
    assert "test_marked_skip" not in found


def test_rerun_replaces_what_was_said_before(project, memcheck, properties, report):
    project.makepyfile(
        """
        import pytest

        runs = []

        @pytest.mark.memleak
        def test_a(memleak):
            runs.append(memleak.iteration)
            assert not (len(runs) == 5)
        """
    )

    result = memcheck("--reruns=1")

    result.stdout.fnmatch_lines(["*1 passed, 1 rerun*"])
    assert report().count("::test_a\n---") == 1
    assert "1 test checked: 1 passed" in report()
    attempts = (project.path / "junit.xml").read_text(encoding="utf-8").split("<testcase ")[1:]
    assert [attempt.count('name="memleak.verdict"') for attempt in attempts] == [1, 1]
    assert properties()["test_a"]["iterations"] == "60"  # of the last attempt


def test_exit_first_writes_the_report_of_what_there_is(project, memcheck, report):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        def test_a():
            pass

        @pytest.mark.memleak
        def test_b():
            assert 0

        @pytest.mark.memleak
        def test_c():
            pass
        """
    )

    memcheck("-x").assert_outcomes(passed=1, failed=1)

    assert "2 tests checked: 1 error, 1 passed" in report()


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_interrupt_leaves_a_report(project, memcheck, report, kind):
    project.makepyfile(
        f"""
        import gc
        import os
        import signal
        import pytest

        # A shell's background job starts with SIGINT ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)

        @pytest.mark.memleak
        def test_a():
            pass

        @pytest.mark.memleak
        {kind} test_b(memleak):
            if memleak.iteration == 20:
                os.kill(os.getpid(), signal.SIGINT)

        def test_c():
            pass
        """
    )

    before = signal.getsignal(signal.SIGINT)

    result = memcheck()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert "::test_a" in report()
    assert "::test_b" in report()
    assert signal.getsignal(signal.SIGINT) is before


def test_failures_that_are_hard_to_say(project, memcheck, properties, report):
    project.makepyfile(
        """
        import functools
        import pytest

        pytestmark = pytest.mark.memleak

        def hiding(test):
            @functools.wraps(test)
            def plain():
                return test()

            return plain

        @hiding
        async def test_hidden_coroutine():
            raise AssertionError

        def test_endless_message():
            raise ValueError("y" * 100_000)

        class Unreadable(Exception):
            def __str__(self):
                raise RuntimeError

        def test_unreadable_message():
            raise Unreadable

        def test_group():
            raise ExceptionGroup("both", [ValueError(1), TypeError(2)])
        """
    )

    memcheck().assert_outcomes(failed=4)

    assert {values["verdict"] for values in properties().values()} == {"error"}
    assert len(report().splitlines()) < 60
    written = " ".join(report().split())
    assert "Failed: the test returned a coroutine that nobody awaits" in written
    assert "Unreadable: <exception str() failed>" in written
    assert "ExceptionGroup: both (2 sub-exceptions)" in written


def test_what_the_run_touched_is_restored_after_a_failure(project, memcheck):
    project.makepyfile(
        """
        import asyncio
        import gc
        import logging
        import sys
        import time
        import warnings
        import pytest

        clock = time.time

        @pytest.mark.memleak
        async def test_fails_late(memleak):
            assert memleak.iteration < 30

        def test_after():
            assert gc.get_freeze_count() == 0
            assert gc.isenabled()
            assert time.time is clock
            assert abs(time.time() - time.clock_gettime(time.CLOCK_REALTIME)) < 60
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            with pytest.warns(UserWarning, match="seen"):
                warnings.warn("seen")
        """
    )

    memcheck().assert_outcomes(failed=1, passed=1)
