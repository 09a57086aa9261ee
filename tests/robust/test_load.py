"""Many iterations and many tests: the plugin itself does not grow. `benchmarks/load.py` runs more of both."""

from __future__ import annotations

from pytest_memleak import check

KEPT_BYTES = 10_000


def test_twenty_thousand_iterations_of_a_known_leak():
    """What is measured beyond what the step keeps is the plugin's own."""
    kept = [None] * 20_000
    at = iter(range(len(kept)))

    def step():
        kept[next(at)] = bytearray(KEPT_BYTES)

    verdict = check(step, duration="20000min", max_growth="1kB/iteration", explain=False)

    assert (verdict.outcome, verdict.iterations) == ("leak", 20_000)
    # A bytearray is an object and a buffer: about 80 bytes more than it holds.
    assert KEPT_BYTES <= verdict.live.bytes_per_iteration < KEPT_BYTES + 120


def test_many_checked_tests_in_one_session(project):
    """Everything that a check touches is given back each time; the report has them all."""
    project.makepyfile(
        """
        import gc, threading
        import psutil
        import pytest

        @pytest.mark.memleak
        @pytest.mark.parametrize("n", range(60))
        def test_one(memleak, n):
            if memleak.iteration == 0:
                rss.append(psutil.Process().memory_info().rss)

        def test_nothing_is_left():
            # Each test's report and entry of the record stay to the end.
            assert rss[-1] - rss[20] < 39 * 100_000
            assert threading.active_count() == THREADS
            assert psutil.Process().num_fds() <= DESCRIPTORS + 1
            assert len(gc.callbacks) == CALLBACKS

        rss = []
        THREADS, DESCRIPTORS, CALLBACKS = threading.active_count(), psutil.Process().num_fds(), len(gc.callbacks)
        """
    )

    result = project.runpytest_subprocess("--memcheck", "-q")

    result.assert_outcomes(passed=61)
    report = project.path.joinpath("leak_report.txt").read_text(encoding="utf-8")
    assert report.splitlines()[1] == "60 tests checked: 60 passed"
