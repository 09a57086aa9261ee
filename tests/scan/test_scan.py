"""A scan without any test code: one checked item for each operation, in every report."""

from __future__ import annotations

NAMES = [
    "GET /health",
    "GET /users/{user_id}",
    "POST /orders",
    "GET /private",
    "GET /things/{thing_id}",
    "GET /broken",
    "GET /stream",
    "WEBSOCKET /ws",
]


def test_every_operation_has_a_verdict(project, scan, verdicts):
    result = scan("--memcheck-no-explain")

    result.assert_outcomes(passed=4, failed=1, skipped=3)
    assert verdicts() == {
        "scan::GET /health": "passed",
        "scan::GET /users/{user_id}": "leak",
        "scan::POST /orders": "passed",
        "scan::GET /private": "not_measured",
        "scan::GET /things/{thing_id}": "not_measured",
        "scan::GET /broken": "not_measured",
        "scan::GET /stream": "passed",
        "scan::WEBSOCKET /ws": "passed",
    }
    report = " ".join((project.path / "leak_report.txt").read_text(encoding="utf-8").split())
    assert "8 tests checked: 1 leak, 3 not measured, 4 passed" in report
    assert (
        "NOT MEASURED: all 30 requests to GET /private were answered with errors (401 x 30); set "
        'operation.headers["Authorization"], operation.cookies or operation.app.dependency_overrides in the hook '
        "pytest_memleak_scan_operation, or memleak_scan_headers in the configuration. "
        'The app said: {"detail":"who are you?"}'
    ) in report
    assert 'give values that exist: set operation.parameters["thing_id"] in the hook' in report
    assert "The app said: RuntimeError: no database" in report


def test_selection(project):
    def collected(*args):
        result = project.runpytest_inprocess("--memcheck", "--memcheck-scan=shop:app", "--collect-only", "-q", *args)
        return [line.removeprefix("scan::") for line in result.outlines if line.startswith("scan::")]

    assert collected() == NAMES
    assert collected("-k", "users or orders") == ["GET /users/{user_id}", "POST /orders"]
    assert collected("scan::POST /orders") == ["POST /orders"]
    with project.path.joinpath("pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('memleak_scan_include = ["GET *", "/ws"]\nmemleak_scan_exclude = ["*/broken"]\n')
    assert collected() == [name for name in NAMES if name not in ("POST /orders", "GET /broken")]


def test_workers_and_the_hook(project, scan, verdicts):
    project.makeconftest(
        """
        def pytest_memleak_scan_operation(operation):
            if operation.path == "/private":
                get_user = __import__("shop").get_user
                operation.app.dependency_overrides[get_user] = lambda: None
            elif operation.name == "GET /users/{user_id}":
                operation.parameters["user_id"] = 7
            elif operation.path == "/broken":
                operation.skip = "needs a database"
            elif operation.path == "/health":
                operation.settings["max_growth"] = "1B/fortnight"
        """
    )

    result = scan("-n2", "-rs", "-k", "private or users or broken or health")

    result.assert_outcomes(passed=2, skipped=1, errors=1)
    result.stdout.fnmatch_lines(["SKIPPED*needs a database"])
    result.stdout.fnmatch_lines(["scan::GET /health: max_growth: '1B/fortnight' is not a growth budget*"])
    assert verdicts() == {"scan::GET /private": "passed", "scan::GET /users/{user_id}": "passed"}


def test_configuration(project, verdicts):
    project.makepyfile("def test_plain(): pass")
    with project.path.joinpath("pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(
            'memleak_scan = "shop:app"\nmemleak_scan_count = "2"\nmemleak_scan_include = ["/private"]\n'
            'memleak_scan_headers = ["Authorization: Bearer secret"]\n'
        )

    project.runpytest_subprocess("-v").assert_outcomes(passed=1)
    # Who names tests wants those alone.
    project.runpytest_subprocess("--memcheck", "test_configuration.py").assert_outcomes(passed=1)
    result = project.runpytest_subprocess("--memcheck", "--junitxml=junit.xml")

    result.assert_outcomes(passed=2)
    assert verdicts() == {"scan::GET /private": "passed"}
    assert "60 iterations, 120 requests" in (project.path / "leak_report.txt").read_text(encoding="utf-8")


def test_what_cannot_be_scanned(project):
    project.makepyfile(empty="async def app(scope, receive, send): raise RuntimeError")

    def run(*args):
        return project.runpytest_inprocess(*args)

    run("--memcheck", "--memcheck-scan=nowhere:app").stderr.fnmatch_lines(
        ["ERROR: --memcheck-scan: the app 'nowhere:app' cannot be imported: there is no module 'nowhere' *"]
    )
    run("--memcheck", "--memcheck-scan=empty:app").stdout.fnmatch_lines(
        ["the app 'empty:app' has nothing to scan: it serves no OpenAPI document and has no routes*"]
    )
    run("--memcheck-scan=shop:app").stderr.fnmatch_lines(["*--memcheck-scan has no effect without --memcheck*"])
    with project.path.joinpath("pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('memleak_scan = "shop:app"\nmemleak_scan_count = "none"\n')
    run("--memcheck").stderr.fnmatch_lines(["*memleak_scan_count: 'none' is not a whole number of 1 or more"])


def test_client_that_is_closed_with_the_loop_is_no_leak(pytester):
    pytester.makepyfile(
        shop="""
        import httpx
        from fastapi import FastAPI, HTTPException

        app = FastAPI()
        endings = []


        async def closing(client):
            try:
                yield
            finally:
                await client.aclose()


        @app.get("/")
        async def page():
            if not endings:
                endings.append(closing(httpx.AsyncClient()))
                await anext(endings[0])  # ends, and closes the client, when the loop does


        @app.get("/missing")
        async def missing():
            raise HTTPException(404)
        """
    )

    result = pytester.runpytest_subprocess("--memcheck", "--memcheck-scan=shop:app", "--memcheck-duration=1h")

    result.assert_outcomes(passed=1, skipped=1)


def test_a_parameter_of_the_hook_may_be_unique(pytester):
    pytester.makepyfile(
        shop="""
        import fastapi

        app = fastapi.FastAPI()
        seen = set()

        @app.get("/users/{name}")
        async def user(name: str, q: str):
            seen.add((name, q))
            with open("seen", "w") as file:
                file.write(f"{len(seen)} {name} {q}")
        """
    )
    pytester.makeconftest(
        """
        def pytest_memleak_scan_operation(operation):
            operation.parameters.update(name="u-{n}", q="q {n}")
        """
    )

    pytester.runpytest_subprocess("--memcheck", "--memcheck-scan=shop:app", "--memcheck-duration=60min")

    different, name, query = (pytester.path / "seen").read_text().split(" ", 2)
    assert int(different) >= 600
    assert (name, query) == (f"u-{name[2:]}", f"q {name[2:]}")
    assert name[2:].isdigit()
