"""The app's lifespan: started before the first request, stopped inside the call, on the test's loop."""

from __future__ import annotations


def test_order_state_and_loop(project, memcheck):
    project.makepyfile(
        """
        import asyncio
        import pytest

        events = []

        @pytest.fixture
        def memleak_app():
            async def app(scope, receive, send):
                events.append(asyncio.get_running_loop())
                if scope["type"] == "lifespan":
                    assert (await receive())["type"] == "lifespan.startup"
                    scope["state"]["pool"] = "a pool"
                    events.append("startup")
                    await send({"type": "lifespan.startup.complete"})
                    assert (await receive())["type"] == "lifespan.shutdown"
                    events.append("shutdown")
                    await send({"type": "lifespan.shutdown.complete"})
                    return
                events.append(scope["state"]["pool"])
                scope["state"]["request"] = "is its own"
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b""})

            return app

        @pytest.mark.memleak
        async def test_a(memleak_client, memleak):
            events.append(memleak.iteration)
            events.append(asyncio.get_running_loop())
            await memleak_client.get("/")

        def test_order():
            names = [event for event in events if isinstance(event, (str, int))]
            assert names == ["startup", *(one for i in range(60) for one in (i, "a pool")), "shutdown"]
            assert len({event for event in events if isinstance(event, asyncio.AbstractEventLoop)}) == 1
        """
    )

    memcheck().assert_outcomes(passed=2)


def test_apps_without_lifespan_support(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        async def answer(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def raises(scope, receive, send):
            assert scope["type"] == "http"
            await answer(scope, receive, send)

        async def returns(scope, receive, send):
            if scope["type"] == "http":
                await answer(scope, receive, send)

        class Instance:
            async def __call__(self, scope, receive, send):
                await raises(scope, receive, send)

        def create_app():
            return raises

        class Factory:
            def create(self):
                return Instance()

        @pytest.fixture(params=[raises, returns, Instance(), Instance, create_app, Factory().create,
                                "app:app", "apps:create_app()", "apps:Apps.nested"], ids=str)
        def memleak_app(request):
            return request.param

        @pytest.mark.memleak
        async def test_app(memleak_client):
            assert (await memleak_client.get("/")).status_code == 200
        """,
        apps="""
        import app

        def create_app():
            return app.app

        class Apps:
            nested = staticmethod(app.app)
        """,
    )

    memcheck().assert_outcomes(passed=9)

    assert {values["verdict"] for values in properties().values()} == {"passed"}


def test_failing_startup_and_shutdown_are_one_sentence(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        def failing(where, how):
            async def app(scope, receive, send):
                if scope["type"] != "lifespan":
                    await send({"type": "http.response.start", "status": 200, "headers": []})
                    await send({"type": "http.response.body", "body": b""})
                    return
                while True:
                    kind = (await receive())["type"]
                    if kind == f"lifespan.{where}":
                        if how == "raises":
                            raise ConnectionError("no database at db:5432")
                        await send({"type": f"{kind}.failed", "message": "Traceback ...\\nOSError: no database"})
                        return
                    await send({"type": f"{kind}.complete"})

            return app

        @pytest.mark.memleak
        @pytest.mark.parametrize(
            "memleak_app",
            [failing("startup", "says"), failing("shutdown", "says"), failing("shutdown", "raises")],
            ids=["startup", "shutdown", "raising"],
        )
        async def test_app(memleak_app, memleak_client):
            await memleak_client.get("/")
        """
    )

    for flags in ((), ("--memcheck", "--junitxml=junit.xml")):
        result = project.runpytest_subprocess(*flags)

        result.assert_outcomes(failed=3)
        result.stdout.fnmatch_lines(
            [
                "*the app's startup failed: OSError: no database",
                "*the app's shutdown failed: OSError: no database",
                "*the app's shutdown failed: ConnectionError: no database at db:5432",
            ]
        )
    assert {values["verdict"] for values in properties().values()} == {"error"}


def test_frameworks_and_their_routes(project, memcheck, properties, report):
    project.makepyfile(
        """
        import contextlib
        import pytest
        from fastapi import FastAPI, Request
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Mount, Route

        @contextlib.asynccontextmanager
        async def lifespan(app):
            yield {"pool": "a pool"}

        fast = FastAPI(lifespan=lifespan)

        @fast.get("/items/{number}")
        async def item(number: int, request: Request):
            return {"number": number, "pool": request.state.pool}

        @fast.get("/in_a_thread")
        def in_a_thread():
            return "done"

        async def page(request):
            return PlainTextResponse(request.state.pool)

        star = Starlette(routes=[Route("/page", page), Mount("/sub", Starlette(routes=[Route("/page", page)]))],
                         lifespan=lifespan)

        @pytest.fixture
        def memleak_app(request):
            return request.param

        @pytest.mark.memleak
        @pytest.mark.parametrize("memleak_app", [fast], ids=["fast"], indirect=True)
        async def test_fastapi(memleak, memleak_client):
            response = await memleak_client.get(f"/items/{memleak.iteration}")
            assert response.json() == {"number": memleak.iteration, "pool": "a pool"}
            assert (await memleak_client.get("/in_a_thread")).json() == "done"

        @pytest.mark.memleak
        @pytest.mark.parametrize("memleak_app", [star], ids=["star"], indirect=True)
        async def test_starlette(memleak):
            responses = await memleak.send([("GET", "/page"), ("GET", "/sub/page")], count=4)
            assert {response.text for response in responses} == {"a pool"}
        """
    )

    memcheck().assert_outcomes(passed=2)

    assert [values["requests"] for values in properties().values()] == ["120", "240"]
    written = " ".join(report().split())
    assert "GET /items/{number} x 60" in written
    assert "GET /in_a_thread x 60" in written
    assert "GET /sub/page x 120" in written


def test_apps_that_wait_for_more_after_their_last_word_are_ended(project, memcheck, properties):
    """Quart does so after a failed startup; a loop without `return` does so after the shutdown."""
    project.makepyfile(
        """
        import pytest

        def make_app(answer_to_startup):
            async def app(scope, receive, send):
                if scope["type"] == "lifespan":
                    while True:
                        kind = (await receive())["type"]
                        await send({"type": answer_to_startup if "startup" in kind else f"{kind}.complete"})
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b""})

            return app

        @pytest.fixture(params=["complete", "failed"])
        def memleak_app(request):
            return make_app(f"lifespan.startup.{request.param}")

        @pytest.mark.memleak
        async def test_app(memleak_client):
            await memleak_client.get("/")
        """
    )

    memcheck("--timeout=60").assert_outcomes(passed=1, failed=1)

    assert {name: said["verdict"] for name, said in properties().items()} == {
        "test_app[complete]": "passed",
        "test_app[failed]": "error",
    }


def test_lifespan_starts_before_a_request_of_the_tests_own_client(project, memcheck):
    project.makepyfile(
        """
        import app
        import httpx
        import pytest

        @pytest.mark.memleak
        async def test_a(memleak):
            transport = httpx.ASGITransport(memleak.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
                await client.get("/ok")
            assert app.events == ["startup"]

        def test_after():
            assert app.events == ["startup", "shutdown"]
        """
    )

    memcheck().assert_outcomes(passed=2)
    project.runpytest_subprocess().assert_outcomes(passed=2)


def test_lifespan_that_the_test_runs_itself_is_not_run_twice(project, memcheck):
    project.makepyfile(
        """
        import app
        import httpx
        import pytest

        async def lifespan_only(under_test):
            sent = []
            messages = iter(["lifespan.startup", "lifespan.shutdown"])

            async def receive():
                return {"type": next(messages)}

            async def send(message):
                sent.append(message["type"])

            await under_test({"type": "lifespan"}, receive, send)

        @pytest.mark.memleak
        async def test_a(memleak):
            await lifespan_only(memleak.app)
            transport = httpx.ASGITransport(memleak.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
                await client.get("/ok")
            assert app.events == ["startup", "shutdown"]
            app.events.clear()
        """
    )

    memcheck().assert_outcomes(passed=1)
