"""Which tests are repeated: functions, methods, parameters, sync and async, with and without an app."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_every_kind_of_test_function(project, memcheck, properties, mode):
    project.makepyfile(
        """
        import asyncio
        import pytest

        loops = set()

        @pytest.fixture
        async def token(memleak_client):
            # A log-in: its requests are not counted, and it runs on the loop of the test.
            loops.add(asyncio.get_running_loop())
            assert (await memleak_client.get("/ok")).status_code == 200
            return "secret"

        @pytest.mark.memleak
        async def test_with_fixture(memleak_client, token):
            loops.add(asyncio.get_running_loop())
            assert len(loops) == 1
            assert token == "secret"
            await memleak_client.get("/ok")

        @pytest.mark.memleak
        def test_sync():
            pass

        @pytest.mark.memleak
        async def test_without_app():
            await asyncio.sleep(0)

        @pytest.mark.memleak
        class TestMethods:
            async def test_async(self, memleak_client):
                self.count = getattr(self, "count", 0) + 1  # one instance, as in any test
                await memleak_client.get("/ok")

            def test_sync(self, tmp_path, monkeypatch):
                assert tmp_path.is_dir()

            @staticmethod
            def test_static():
                pass

        @pytest.mark.memleak
        @pytest.mark.parametrize("path", ["/ok", "/404"])
        async def test_parametrized(memleak_client, path):
            assert (await memleak_client.get(path)).text == path

        @pytest.mark.asyncio
        @pytest.mark.memleak
        async def test_with_the_asyncio_mark_as_well(memleak_client):
            await memleak_client.get("/ok")

        def test_unmarked(request):
            assert not hasattr(test_unmarked, "ran")
            test_unmarked.ran = True
        """
    )
    if mode == "strict":
        source = project.path / "test_every_kind_of_test_function.py"
        text = source.read_text().replace("@pytest.fixture\nasync", "@pytest_asyncio.fixture\nasync")
        source.write_text("import pytest_asyncio\n" + text)

    result = memcheck("-o", f"asyncio_mode={mode}")

    result.assert_outcomes(passed=10)
    assert {name: (found["iterations"], found.get("requests")) for name, found in properties().items()} == {
        "test_with_fixture": ("60", "60"),
        "test_sync": ("60", None),
        "test_without_app": ("60", None),
        "test_async": ("60", "60"),
        "test_static": ("60", None),
        "test_parametrized[/ok]": ("60", "60"),
        "test_parametrized[/404]": ("60", "60"),
        "test_with_the_asyncio_mark_as_well": ("60", "60"),
    }


def test_memcheck_all(project, report, properties):
    project.makepyfile(
        '''
        import unittest
        from hypothesis import given, strategies as st

        def test_plain():
            """
            >>> 1 + 1
            2
            """

        async def test_async(memleak_client):
            await memleak_client.get("/ok")

        class TestOld(unittest.TestCase):
            def test_method(self):
                self.assertTrue(True)

        @given(st.integers())
        def test_given(number):
            pass
        '''
    )

    result = project.runpytest_subprocess(
        "--memcheck-all", "--doctest-modules", "--ignore=app.py", "--junitxml=junit.xml"
    )

    result.assert_outcomes(passed=5)
    assert set(properties()) == {"test_plain", "test_async"}
    written = " ".join(report().split())
    assert "2 tests checked: 2 passed" in written
    for listed in (
        "test_memcheck_all.test_plain: a DoctestItem is not a test function",
        "TestOld::test_method: a unittest.TestCase method is set up for one run",
        "test_given: a @given test chooses its own repetitions",
    ):
        assert listed in written


@pytest.mark.parametrize("flag", ["--memcheck", "--memcheck-all"])
def test_marked_test_that_cannot_be_repeated_is_no_silent_pass(project, flag):
    project.makepyfile(
        """
        import unittest
        import pytest
        from hypothesis import given, strategies as st

        @pytest.mark.memleak
        class TestOld(unittest.TestCase):
            def test_method(self):
                pass

        @pytest.mark.memleak
        @given(st.integers())
        def test_given(number):
            pass

        def test_other():
            pass
        """
    )

    result = project.runpytest_subprocess(flag)

    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*::test_method: the test cannot be checked for leaks: a unittest.TestCase method is set up for one run; "
            "write it as a plain test function",
            "*::test_given: the test cannot be checked for leaks: a @given test chooses its own repetitions; "
            "write it as a plain test function",
        ]
    )


def test_anyio_tests_keep_their_own_runner(project, properties):
    project.makepyfile(
        """
        import pytest
        from pytest_memleak.simtime import SimulatedLoop

        pytestmark = [pytest.mark.anyio, pytest.mark.memleak]
        ON_ITS_OWN_LOOP = [("asyncio", {})]
        ON_THE_SIMULATED_LOOP = [("asyncio", {"loop_factory": SimulatedLoop})]

        @pytest.mark.parametrize("anyio_backend", ON_THE_SIMULATED_LOOP, ids=["simulated"])
        async def test_simulated(memleak_client):
            assert (await memleak_client.get("/ok")).status_code == 200

        @pytest.mark.memleak(simulate_time=False)
        @pytest.mark.parametrize("anyio_backend", ON_ITS_OWN_LOOP, ids=["own"])
        async def test_real(memleak_client):
            assert (await memleak_client.get("/ok")).status_code == 200

        @pytest.mark.parametrize("anyio_backend", ON_ITS_OWN_LOOP, ids=["own"])
        async def test_simulated_on_another_loop(memleak_client):
            assert (await memleak_client.get("/ok")).status_code == 200
        """
    )

    project.runpytest_subprocess().assert_outcomes(passed=3)
    result = project.runpytest_subprocess("--memcheck", "--junitxml=junit.xml")

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["error: simulated time needs its own event loop; *simulate_time=False*"])
    assert {name: found["iterations"] for name, found in properties().items()} == {
        "test_simulated[simulated]": "60",
        "test_real[own]": "60",
        "test_simulated_on_another_loop[own]": "0",
    }


def test_select_with_m(project, properties, memcheck):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        def test_marked():
            pass

        def test_unmarked():
            raise AssertionError
        """
    )

    memcheck("-m", "memleak").assert_outcomes(passed=1, deselected=1)

    assert set(properties()) == {"test_marked"}


def test_function_fixtures_are_set_up_once(project, memcheck):
    project.makepyfile(
        """
        import pytest

        counts = {"setup": 0, "body": 0, "teardown": 0}

        @pytest.fixture
        def database():
            counts["setup"] += 1
            yield
            counts["teardown"] += 1

        @pytest.mark.memleak
        def test_a(database):
            counts["body"] += 1

        def test_counts():
            assert counts == {"setup": 1, "body": 60, "teardown": 1}
        """
    )

    memcheck().assert_outcomes(passed=2)


def test_iteration_counts_the_completed_ones(project, memcheck):
    project.makepyfile(
        """
        import pytest

        seen = []

        @pytest.mark.memleak
        async def test_a(memleak):
            seen.append(memleak.iteration)

        def test_seen():
            assert seen == list(range(60))
        """
    )

    memcheck().assert_outcomes(passed=2)
