"""Without --memcheck a marked test is a plain test: it runs once, nothing is measured, no file is written."""

from __future__ import annotations

import sys

import pytest

TESTS = """
import time
import app
import pytest

runs = []

@pytest.mark.memleak(max_growth="1B/24h")
async def test_async(memleak_client, memleak):
    runs.append("async")
    assert (await memleak_client.get("/heap")).status_code == 200
    assert memleak.iteration == 0
    before = time.monotonic()
    await memleak.clock.advance(3600)
    assert time.monotonic() - before < 3000
    assert memleak.client is memleak_client
    responses = await memleak.send([("GET", "/ok")], count=3)
    assert [response.text for response in responses] == ["/ok"] * 3
    assert app.events == ["startup"]

@pytest.mark.memleak
def test_sync(memleak):
    runs.append("sync")
    assert memleak.iteration == 0

def test_after():
    assert runs == ["async", "sync"]
    assert app.events == ["startup", "shutdown"]
    assert len(app.kept) == 1
"""


def test_marked_tests_run_once(project):
    project.makepyfile(TESTS)

    result = project.runpytest_subprocess("-v")

    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*memleak:*")
    files = {path.name for path in project.path.iterdir() if path.is_file()}
    assert files == {"app.py", "pyproject.toml", "test_marked_tests_run_once.py", "stdout", "stderr"}


def test_lifespan_stops_inside_the_call_also_when_the_body_fails(project):
    project.makepyfile(
        """
        import app
        import pytest

        @pytest.fixture
        def watching():
            yield
            print("events in teardown:", *app.events)

        @pytest.mark.memleak
        async def test_fails(watching, memleak_client):
            await memleak_client.get("/ok")
            assert 1 == 2
        """
    )

    result = project.runpytest_subprocess("-rA")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*", "events in teardown: startup shutdown"])


def test_missing_app_is_said_without_memcheck_too(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        async def test_a(memleak_client):
            pass
        """
    )

    result = pytester.runpytest_subprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_a: there is no app to test: override the fixture memleak_app*"])


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_mark_alone_makes_a_coroutine_test_run(project, mode):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        async def test_a():
            assert 1 == 2
        """
    )

    result = project.runpytest_subprocess("-o", f"asyncio_mode={mode}")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*"])


@pytest.mark.parametrize("imported", [["httpx", "psutil", "memray", "tabulate", "time_machine", "jinja2"]])
def test_installed_and_inactive_it_imports_nothing_heavy(pytester, imported):
    # Other installed plugins import what they like: this asks about a session with this one alone.
    pytester.makepyfile(
        f"""
        import sys
        import pytest

        @pytest.mark.memleak
        def test_a():
            assert sorted({set(imported)!r} & set(sys.modules)) == []
        """
    )
    pytester.makeconftest("")

    result = pytester.run(
        sys.executable,
        "-c",
        "import os; os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'; "
        "import pytest; raise SystemExit(pytest.main(['-p', 'pytest_memleak.plugin']))",
    )

    result.assert_outcomes(passed=1)


def test_without_pytest_asyncio_plain_tests_are_no_concern(pytester):
    pytester.makepyfile("import pytest\n@pytest.mark.memleak\ndef test_a(): pass")

    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)
    pytester.runpytest_subprocess("-p", "no:memleak", "-W", "ignore").assert_outcomes(passed=1)


def test_texts_for_people_who_look_around(pytester):
    pytester.makepyfile("def test_a(): pass")

    markers = pytester.runpytest_subprocess("--markers")
    fixtures = pytester.runpytest_subprocess("--fixtures")
    options = pytester.runpytest_subprocess("--help")

    markers.stdout.fnmatch_lines(
        ["@pytest.mark.memleak(*max_growth='500MB/24h'*): check the test for memory leaks under --memcheck; *"]
    )
    fixtures.stdout.fnmatch_lines(["memleak_app*", "    The ASGI app to test: override it*"])
    fixtures.stdout.fnmatch_lines(["memleak_client*", "    An httpx.AsyncClient on the app of memleak_app*"])
    fixtures.stdout.fnmatch_lines(["memleak *", "    The run: iteration, clock*"])
    options.stdout.fnmatch_lines(["memory leak regression testing:", "  --memcheck *", "  --memcheck-max-growth=RATE*"])
