"""A mistake is one clear sentence, and the other tests still run. The whole message is asserted."""

from __future__ import annotations

import pytest

BUDGET_FORM = (
    "is not a growth budget; write <size>/<per> with per = s, min, h, 24h, day, iteration or request, like "
    "'500MB/24h' or '64B/request'"
)
DURATION_FORM = "is not a duration; write a number with s, min, h or d, like '24h'"

FLAGS_AND_INI = {
    ("--memcheck-max-growth=lots", ""): f"--memcheck-max-growth: 'lots' {BUDGET_FORM}",
    ("--memcheck-duration=long", ""): f"--memcheck-duration: 'long' {DURATION_FORM}",
    ("--memcheck-step=0", ""): f"--memcheck-step: '0' {DURATION_FORM}",
    ("--memcheck-traffic=50", ""): (
        "--memcheck-traffic: '50' is not a request rate; write <number>/<per> with per = s, min, h or day, like '50/s'"
    ),
    ("--memcheck-profile=fast", ""): "--memcheck-profile: 'fast' is not one of standard, quick, soak, full",
    ("--memcheck-inconclusive=no", ""): "--memcheck-inconclusive: 'no' is not one of warn, fail",
    ("--memcheck-max-memory=much", ""): (
        "--memcheck-max-memory: 'much' is not a size; write a number with B, kB, MB, GB, KiB, MiB or GiB, like '512MB'"
    ),
    ("--memcheck-duration=10min", ""): (
        "memleak: duration / step is 10 iterations; a growth rate needs 60 to 1,000,000: change duration (600 s) or "
        "step (60 s)"
    ),
    ("--memcheck", 'memleak_max_growth = "lots"'): f"memleak_max_growth: 'lots' {BUDGET_FORM}",
    # A bad value in the configuration is said although the flag has a good one.
    ("--memcheck-max-growth=1MB/h", 'memleak_max_growth = "lots"'): f"memleak_max_growth: 'lots' {BUDGET_FORM}",
}


@pytest.mark.parametrize(("flag", "ini"), FLAGS_AND_INI, ids=lambda value: value or "no ini")
def test_flag_or_ini_value(pytester, flag, ini):
    pytester.path.joinpath("pyproject.toml").write_text(f"[tool.pytest]\n{ini}\n", encoding="utf-8")
    pytester.makepyfile("def test_a(): pass")

    result = pytester.runpytest("--memcheck", flag)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.stderr.lines if line] == [f"ERROR: {FLAGS_AND_INI[flag, ini]}"]


@pytest.mark.parametrize("flag", ["--memcheck-profile=quick", "--memcheck-max-growth=1MB/h", "--memcheck-report=a.txt"])
def test_flag_without_memcheck(pytester, flag):
    pytester.makepyfile("def test_a(): pass")

    result = pytester.runpytest(flag)

    name = flag.partition("=")[0]
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.stderr.lines if line] == [
        f"ERROR: {name} has no effect without --memcheck; add --memcheck or remove it"
    ]


@pytest.mark.parametrize("flags", [(), ("--memcheck",), ("-q", "--memcheck")], ids=str)
def test_ini_value_of_the_wrong_type(pytester, flags):
    pytester.path.joinpath("pyproject.toml").write_text("[tool.pytest]\nmemleak_step = 60\n", encoding="utf-8")
    pytester.makepyfile("def test_a(): pass")

    result = pytester.runpytest(*flags)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    # The sentence is pytest's own: "config option 'memleak_step' expects a string, got int: 60".
    (sentence,) = [line for line in result.stderr.lines if line]
    assert sentence.startswith("ERROR: ")
    assert "memleak_step" in sentence


MARKERS = {
    "budget='500MB/24h'": "memleak has no argument 'budget'; it takes *max_growth*",
    "'500MB/24h'": "@pytest.mark.memleak takes keyword arguments only, not '500MB/24h'; they are *max_growth*",
    "max_growth='500MB'": f"max_growth: '500MB' {BUDGET_FORM}",
    "max_growth=500": f"max_growth: 500 {BUDGET_FORM}",
    "duration='1 hours and a half'": f"duration: '1 hours and a half' {DURATION_FORM}",
    "duration='10min'": (
        "duration / step is 10 iterations; a growth rate needs 60 to 1,000,000: change duration (600 s) or step (60 s)"
    ),
    "traffic='fast'": (
        "traffic: 'fast' is not a request rate; write <number>/<per> with per = s, min, h or day, like '50/s'"
    ),
    "profile='fast'": "profile: 'fast' is not one of standard, quick, soak, full",
    "allow_errors='perhaps'": "allow_errors: 'perhaps' is not true or false",
}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_marker_argument(project, workers):
    tests = [f"@pytest.mark.memleak({arguments})\ndef test_{i}(): pass" for i, arguments in enumerate(MARKERS)]
    project.makepyfile("\n\n".join(["import pytest", *tests, "def test_other(): pass"]))

    result = project.runpytest_subprocess("--memcheck", *workers)

    result.assert_outcomes(errors=len(MARKERS), passed=1)
    result.stdout.fnmatch_lines_random(
        [f"*.py::test_{i}: {message}".replace("[", "[[]") for i, message in enumerate(MARKERS.values())]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling of the above exception*")
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


APPS = {
    "None": (
        "there is no app to test: override the fixture memleak_app (return the ASGI app, a factory or an import string "
        "such as 'myapp.main:app'), or set memleak_app in the pytest configuration"
    ),
    "'app'": "'app' is not an import string; write it as 'package.module:app'",
    "'app:'": "'app:' is not an import string; write it as 'package.module:app'",
    "'nowhere.main:app'": (
        "the app 'nowhere.main:app' cannot be imported: there is no module 'nowhere' in the root directory or in "
        "pytest's pythonpath"
    ),
    "'app:application'": "the app 'app:application' cannot be imported: app has no 'application'",
    "42": (
        "a int is not an ASGI app (a callable taking scope, receive and send): return the app, a factory or an import "
        "string such as 'myapp.main:app' from the fixture memleak_app"
    ),
    "'app:kept'": (
        "'app:kept' is not an ASGI app (a callable taking scope, receive and send): return the app, a factory or an "
        "import string such as 'myapp.main:app' from the fixture memleak_app"
    ),
    "list": (
        "a type() returned a list, which is not an ASGI app (a callable taking scope, receive and send): return the "
        "app, a factory or an import string such as 'myapp.main:app' from the fixture memleak_app"
    ),
    "make_later": "the app factory a function is a coroutine function; memleak_app needs a plain function",
}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_app_that_is_none(project, workers):
    for i, source in enumerate(APPS):
        project.makepyfile(
            **{
                f"test_{i}": f"""
                import pytest

                async def make_later():
                    pass

                @pytest.fixture
                def memleak_app():
                    return {source}

                @pytest.mark.memleak
                async def test_client(memleak_client):
                    raise AssertionError("the body ran")

                @pytest.mark.memleak
                async def test_send(memleak):
                    await memleak.send([("GET", "/ok")])
                """
            }
        )

    result = project.runpytest_subprocess("--memcheck", "-p", "no:cacheprovider", *workers)

    result.assert_outcomes(errors=len(APPS), failed=len(APPS))
    result.stdout.fnmatch_lines_random(
        [
            line.replace("[", "[[]")
            for i, message in enumerate(APPS.values())
            for line in (f"*test_{i}.py::test_client: {message}", f"error: {message}")
        ]
    )
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_import_error_inside_the_app_shows_its_traceback(project):
    project.makepyfile(
        broken_app="import a_package_that_is_not_there",
        test_a="""
        import pytest

        @pytest.fixture
        def memleak_app():
            return "broken_app:app"

        @pytest.mark.memleak
        async def test_client(memleak_client):
            pass

        def test_other():
            pass
        """,
    )

    result = project.runpytest_subprocess("--memcheck")

    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        ["*import a_package_that_is_not_there", "*No module named 'a_package_that_is_not_there'"]
    )


def test_sync_test_with_the_client(project):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        def test_sync(memleak_client):
            pass
        """
    )

    for flags in ((), ("--memcheck",)):
        result = project.runpytest_subprocess(*flags)

        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(
            [
                "*::test_sync: memleak_client is an httpx.AsyncClient; make the test `async def` and await it",
            ]
        )


MIXES = {
    "[]": "the mix is empty: give at least one (method, path)",
    "['/ok']": "'/ok' is not a request: write (method, path[, weight[, json]])",
    "[('GET',)]": "('GET',) is not a request: write (method, path[, weight[, json]])",
    "[(1, 2)]": "(1, 2) is not a request: method and path are texts, like ('GET', '/health')",
    "[('GET', '/ok', 0)]": "the weight of GET /ok must be a whole number of 1 or more, not 0",
    "[('GET', '/ok', 1.5)]": "the weight of GET /ok must be a whole number of 1 or more, not 1.5",
    "[('GET', '/ok')], count=0": "count=0 must be a whole number of 1 or more",
    "[('GET', '/ok')], concurrency=-1": "concurrency=-1 must be a whole number of 1 or more",
}


def test_mix_that_cannot_be_sent(project):
    tests = [
        f"@pytest.mark.memleak\nasync def test_{i}(memleak):\n    await memleak.send({arguments})"
        for i, arguments in enumerate(MIXES)
    ]
    project.makepyfile("\n\n".join(["import pytest", *tests]))

    result = project.runpytest_subprocess("--memcheck")

    result.assert_outcomes(failed=len(MIXES))
    result.stdout.fnmatch_lines([f"error: {message}".replace("[", "[[]") for message in MIXES.values()])


def test_nothing_measured(project):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        async def test_idle_client(memleak_client):
            pass

        @pytest.mark.memleak
        async def test_idle_app(memleak):
            memleak.app

        @pytest.mark.memleak(max_growth="64B/request")
        def test_budget_without_app():
            pass

        @pytest.mark.memleak
        def test_forgotten_await(memleak):
            memleak.send([("GET", "/ok")])

        @pytest.mark.memleak
        async def test_log_in_only(memleak_client, log_in):
            pass

        @pytest.fixture
        async def log_in(memleak_client):
            await memleak_client.get("/ok")
        """
    )

    result = project.runpytest_subprocess("--memcheck", "-o", "asyncio_mode=auto")

    result.assert_outcomes(failed=5)
    no_request = (
        "error: nothing was measured: the test uses an app and sent no request to it in 60 iterations; send some with "
        "memleak_client or `await memleak.send(...)`"
    )
    result.stdout.fnmatch_lines(
        [
            no_request,
            no_request,
            "error: nothing was measured: the budget 64B/request is per request and no request was sent; send some "
            "with memleak_client or `await memleak.send(...)`, or give a budget per iteration or per 24h",
            no_request,
            no_request,
        ]
    )


@pytest.mark.parametrize("path", ["app.py/report.txt", "."])
def test_report_that_cannot_be_written(project, path):
    project.makepyfile("import pytest\n@pytest.mark.memleak\ndef test_a(): pass")

    result = project.runpytest_subprocess("--memcheck", f"--memcheck-report={path}")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["memleak: the report * could not be written (*); the verdicts stand"])
    assert not [left for left in project.path.parent.glob(".*") if left.name != ".lock"]
