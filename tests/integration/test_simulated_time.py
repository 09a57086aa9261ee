"""Simulated time inside pytest: every iteration is a minute for the app, and nobody else notices."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

MARK = '@pytest.mark.memleak(duration="60min", max_growth="10kB/iteration", explain=False)'
CONFIG = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makefile(".ini", pytest=CONFIG)
    return pytester


def run(project: pytest.Pytester, source: str, *options: str, passed: int = 1, **outcomes: int) -> pytest.RunResult:
    project.makepyfile(test_it=source.replace("MARK", MARK))
    result = project.runpytest_subprocess("--memcheck", *options)
    result.assert_outcomes(passed=passed, **outcomes)
    return result


def test_the_clock_stands_on_the_grid_in_every_iteration(project):
    run(
        project,
        """
        import asyncio, time, datetime, pytest

        seen = []

        MARK
        async def test_grid(memleak):
            seen.append((memleak.clock.now, time.time(), time.monotonic(), datetime.datetime.now().timestamp()))
            await asyncio.sleep(7)  # does not shift the grid
            if memleak.iteration == 59:
                for column in zip(*seen):
                    steps = [later - earlier for earlier, later in zip(column, column[1:])]
                    assert steps == pytest.approx([60] * 59)
                assert seen[0][0] == 0
        """,
    )


def test_a_body_may_advance_the_clock_itself(project):
    run(
        project,
        """
        import pytest

        MARK
        async def test_advance(memleak):
            before = memleak.clock.now
            await memleak.clock.advance(30)
            assert memleak.clock.now == before + 30
        """,
    )


def test_a_plain_test_is_simulated_without_a_loop(project):
    run(
        project,
        """
        import threading, time, pytest

        woken = []

        def pace():
            while True:
                time.sleep(300)
                woken.append(time.monotonic())

        MARK
        def test_plain(memleak):
            if memleak.iteration == 0:
                threading.Thread(target=pace, daemon=True).start()
            before = time.time()
            time.sleep(20)
            assert time.time() == pytest.approx(before + 20)
            memleak.clock.advance_sync(10)
            assert time.time() == pytest.approx(before + 30)
            assert len(woken) == memleak.iteration // 5
        """,
    )


def test_simulated_time_can_be_turned_off(project):
    source = """
        import asyncio, time, pytest

        MARKED
        async def test_real(memleak):
            assert time.time() - STARTED < 1000
            assert "Simulated" not in type(asyncio.get_running_loop()).__name__
            assert memleak.clock.now == 0

        STARTED = time.time()
        """
    for marker, option in (("simulate_time=False, ", ()), ("", ("--memcheck-no-simulated-time",))):
        run(project, source.replace("MARKED", MARK.replace("duration", f"{marker}duration")), *option)


def test_fixtures_share_the_loop_of_the_test(project):
    run(
        project,
        """
        import asyncio, pytest, pytest_asyncio

        @pytest_asyncio.fixture
        async def loop_of_fixture():
            yield asyncio.get_running_loop()

        MARK
        async def test_same_loop(loop_of_fixture):
            assert asyncio.get_running_loop() is loop_of_fixture
            await asyncio.wait_for(asyncio.sleep(1), timeout=5)
        """,
    )


def test_durations_stay_real(project):
    result = run(
        project,
        """
        import pytest

        MARK
        async def test_an_hour():
            pass
        """,
        "--junitxml=junit.xml",
        "--durations=3",
        "-vv",
    )
    case = next(ElementTree.parse(project.path / "junit.xml").iter("testcase"))
    assert float(case.attrib["time"]) < 3600  # a simulated hour
    assert "3600" not in result.stdout.str().split("slowest")[1]


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_beside_pytest_timeout(project, method):
    pytest.importorskip("pytest_timeout")
    source = """
        import asyncio, pytest

        MARK
        async def test_an_hour():
            await asyncio.sleep(50)
        """
    run(project, source, "--timeout=600", f"--timeout-method={method}")


def test_beside_coverage(project, all_plugins):
    pytest.importorskip("pytest_cov")
    project.makepyfile(app="async def serve():\n    return 1\n\n\ndef unused():\n    return 2\n")
    result = run(
        project,
        """
        import app, pytest

        MARK
        async def test_serve():
            await app.serve()
        """,
        "--cov=app",
        "--cov-report=term-missing",
    )
    result.stdout.re_match_lines([r"app\.py\s+4\s+1\s+75%\s+6"])


def test_beside_other_tests_with_clocks_of_their_own(project):
    pytest.importorskip("freezegun")
    run(
        project,
        """
        import asyncio, datetime, logging, time
        import freezegun, pytest, time_machine

        MARK
        async def test_first():
            await asyncio.sleep(1)

        @freezegun.freeze_time("2020-02-02")
        def test_frozen():
            assert datetime.date.today() == datetime.date(2020, 2, 2)

        @time_machine.travel("2021-03-03", tick=False)
        def test_travel():
            assert datetime.date.today() == datetime.date(2021, 3, 3)

        MARK
        async def test_again():
            await asyncio.sleep(1)

        def test_real_time_is_back(caplog):
            before, real = time.monotonic(), time.perf_counter()
            time.sleep(0.01)
            assert time.monotonic() > before and time.perf_counter() > real
            logging.warning("now")
            assert abs(caplog.records[0].created - datetime.datetime.now().timestamp()) < 60
            assert time.time() < STARTED + 1800  # two simulated hours have passed

        STARTED = time.time()
        """,
        passed=5,
    )


def test_a_frozen_clock_inside_a_checked_test_is_said(project):
    pytest.importorskip("freezegun")
    result = run(
        project,
        """
        import freezegun, pytest

        @pytest.fixture
        def frozen():
            with freezegun.freeze_time("2020-02-02"):
                yield

        MARK
        async def test_frozen(frozen):
            pass

        def test_next():
            pass
        """,
        failed=1,
    )
    result.stdout.fnmatch_lines(["*error: freezegun is active*"])
    assert "INTERNALERROR" not in result.stdout.str()


def test_anyio_tests_run_on_the_simulated_loop(project):
    run(
        project,
        """
        import anyio, pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        MARK
        @pytest.mark.anyio
        async def test_anyio(memleak):
            before = memleak.clock.now
            await anyio.sleep(30)
            assert memleak.clock.now == before + 30
        """,
    )


UVLOOP_CONFTEST = """
    import uvloop

    def pytest_asyncio_loop_factories(config, item):
        return {"uvloop": uvloop.new_event_loop}
    """


def test_a_project_on_uvloop_keeps_it_for_its_own_tests(project):
    pytest.importorskip("uvloop")
    project.makeconftest(UVLOOP_CONFTEST)
    run(
        project,
        """
        import asyncio, pytest

        def name():
            return type(asyncio.get_running_loop()).__module__

        MARK
        async def test_checked():
            assert name().startswith("pytest_memleak")

        @pytest.mark.asyncio
        async def test_own():
            assert name().startswith("uvloop")
        """,
        passed=2,
    )


def test_uvloop_under_a_check_is_an_error_not_a_hang(project):
    pytest.importorskip("uvloop")
    result = run(
        project,
        """
        import pytest, uvloop

        @pytest.fixture
        def anyio_backend():
            return ("asyncio", {"use_uvloop": True})

        MARK
        @pytest.mark.anyio
        async def test_on_uvloop():
            pass

        def test_next():
            pass
        """,
        failed=1,
    )
    result.stdout.fnmatch_lines(["*error: simulated time needs its own event loop; this test runs on uvloop.Loop*"])


def test_under_xdist(project):
    run(
        project,
        """
        import asyncio, pytest

        @pytest.mark.parametrize("n", range(4))
        MARK
        async def test_hour(n, memleak):
            await asyncio.sleep(30)
            assert memleak.clock.now == memleak.iteration * 60 + 30
        """,
        "-n2",
        passed=4,
    )


def test_a_timer_storm_names_its_task(project):
    result = run(
        project,
        """
        import asyncio, pytest

        async def ticker():
            while True:
                await asyncio.sleep(0.0001)

        MARK
        async def test_storm(memleak):
            if memleak.iteration == 0:
                memleak.ticker = asyncio.create_task(ticker())

        def test_next():
            pass
        """,
        failed=1,
    )
    result.stdout.fnmatch_lines(["*error: timer storm*ticker*test_it.py*resolution*"])


def test_resolution_coalesces_a_fast_ticker(project):
    run(
        project,
        """
        import asyncio, pytest

        async def ticker():
            while True:
                await asyncio.sleep(0.0001)

        MARK
        async def test_ticking(memleak):
            if memleak.iteration == 0:
                memleak.ticker = asyncio.create_task(ticker())
        """.replace("MARK", MARK.replace("duration", 'resolution="1s", duration')),
    )
