"""Unclosed clients and other resources, through pytest: real clients, the right line, no false alarm."""

from __future__ import annotations

import json
import re
import sys

import pytest

MARK = '@pytest.mark.memleak(duration="60min", explain=False)'
CONFIG = "[pytest]\nasyncio_default_fixture_loop_scope = function\njunit_family = xunit2\n"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makefile(".ini", pytest=CONFIG)
    return pytester


def run(project: pytest.Pytester, source: str, *options: str, mark: str = MARK, **outcomes: int) -> str:
    """The report of checking `source`."""
    project.makepyfile(test_it=source.replace("MARK", mark))
    project.runpytest_subprocess("--memcheck", *options).assert_outcomes(**outcomes)
    return (project.path / "leak_report.txt").read_text("utf-8")


GROWING = """
    import httpx, pytest

    clients = []

    MARK
    async def test_client():
        clients.append(httpx.AsyncClient(verify=False))
    """


def test_clients_that_pile_up_fail_with_the_line_that_made_them(project):
    report = run(project, GROWING, failed=1)
    assert "60 httpx.AsyncClient open after 60 iterations and rising by 1 per iteration" in report
    assert "made at test_it.py:7 in test_client" in report
    assert "create one client in the lifespan" in report


def test_what_may_stay_open_does(project):
    for pattern in ("httpx.AsyncClient", "test_it.py:7"):
        mark = MARK.replace("duration", f"allow_unclosed=[{json.dumps(pattern)}], duration")
        run(project, GROWING, mark=mark, passed=1)
    project.makefile(".ini", pytest=CONFIG + "memleak_allow_unclosed = httpx.*\n")
    run(project, GROWING, passed=1)


def test_a_client_dropped_without_close_fails(project):
    report = run(
        project,
        """
        import httpx, pytest

        MARK
        async def test_dropped():
            httpx.AsyncClient(verify=False)
        """,
        failed=1,
    )
    assert "httpx.AsyncClient dropped without close, 1 per iteration" in report


LIFESPAN = """
    import contextlib, httpx, pytest
    from fastapi import FastAPI

    @contextlib.asynccontextmanager
    async def lifespan(app):
        app.state.client = httpx.AsyncClient(verify=False)
        yield
        CLOSE

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def index():
        return {}

    @pytest.fixture
    def memleak_app():
        return app

    MARK
    async def test_index(memleak_client):
        await memleak_client.get("/")
    """


def test_a_client_left_open_by_the_shutdown_fails(project):
    report = run(project, LIFESPAN.replace("CLOSE", "pass"), failed=1)
    assert "1 httpx.AsyncClient open after the shutdown" in report
    assert "made at test_it.py:6 in lifespan" in report


def test_a_client_of_the_lifespan_that_the_shutdown_closes_passes(project):
    run(project, LIFESPAN.replace("CLOSE", "await app.state.client.aclose()"), passed=1)


def test_a_client_of_the_module_is_listed_and_passes(project):
    report = run(
        project,
        """
        import httpx, pytest

        client = httpx.AsyncClient(verify=False)

        MARK
        async def test_nothing():
            pass
        """,
        passed=1,
    )
    assert "1 httpx.AsyncClient open, made before the run; not judged" in report


def test_an_object_that_the_test_watches(project):
    source = """
        import pytest

        class Lease:
            open = True

        leases = []

        MARK
        def test_lease(memleak):
            lease = Lease()
            leases.append(lease)
            memleak.watch(lease, is_open=lambda lease: lease.open, name="shop.Lease")
            CLOSE
        """
    report = run(project, source.replace("CLOSE", "pass"), failed=1)
    assert "60 shop.Lease open after 60 iterations" in report
    run(project, source.replace("CLOSE", "lease.open = False"), passed=1)


def test_watching_means_nothing_without_a_check(project):
    project.makepyfile("def test_watch(memleak):\n    memleak.watch(object(), name='x')\n")
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_projects_own_client_class(project):
    project.makeconftest(
        """
        from pytest_memleak import ClientProbe

        def pytest_memleak_client_probes(config):
            return [ClientProbe(library="shop", module="shop", class_names=("Till",), is_open=lambda till: till.open)]
        """
    )
    project.makepyfile(shop="class Till:\n    def __init__(self):\n        self.open = True\n")
    report = run(
        project,
        """
        import pytest, shop

        tills = []

        def serve():
            tills.append(shop.Till())

        MARK
        def test_till():
            serve()
        """,
        failed=1,
    )
    assert "60 shop.Till open after 60 iterations" in report
    assert "made at test_it.py:6 in serve" in report


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "kept.append(asyncio.create_task(asyncio.Event().wait(), name='waiter'))",
            "asyncio tasks after 60 iterations",
        ),
        (
            "thread = threading.Thread(target=kept_event.wait, daemon=True); thread.start()",
            "threads after 60 iterations",
        ),
        ("kept.append(open(__file__))", "file descriptors after 60 iterations"),
        ("kept.append(socket.socketpair())", "file descriptors after 60 iterations"),
    ],
    ids=["task", "thread", "file", "socket"],
)
def test_what_else_piles_up(project, body, said):
    report = run(
        project,
        f"""
        import asyncio, socket, threading, pytest

        kept = []
        kept_event = threading.Event()

        MARK
        async def test_growing():
            {body}
        """,
        failed=1,
    )
    assert said in report
    assert "test_it.py" in report


def test_resources_alone_are_a_leak_in_every_report(project):
    run(project, GROWING, "--junitxml=junit.xml", failed=1)
    junit = (project.path / "junit.xml").read_text("utf-8")
    for name, value in (("verdict", "leak"), ("unclosed_clients", "60"), ("top_line", "test_it.py:7")):
        assert f'name="memleak.{name}" value="{value}"' in junit


def test_classes_are_as_before_after_a_failing_body(project):
    run(
        project,
        """
        import httpx, pytest

        before = dict(vars(httpx.AsyncClient))

        MARK
        async def test_failing():
            assert vars(httpx.AsyncClient) != before  # tracked
            raise ValueError("in the body")

        def test_restored():
            assert dict(vars(httpx.AsyncClient)) == before
        """,
        failed=1,
        passed=1,
    )


def test_the_runs_own_tasks_are_not_named_as_the_apps(project):
    report = run(
        project,
        """
        import asyncio, pytest

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
            else:
                asyncio.create_task(asyncio.sleep(1_000_000))
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body"})

        @pytest.fixture
        def memleak_app():
            return app

        MARK
        async def test_it(memleak_client):
            await memleak_client.get("/")
        """,
        failed=1,
    )
    assert "+60 sleep" in report
    assert "Lifespan" not in report
    assert "line   " not in report  # sleep waits in Python's own code


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are not counted there")
@pytest.mark.parametrize("per_iteration", [3, 30])
def test_descriptors_that_reach_the_limit_have_not_levelled_off(project, per_iteration):
    """Each request above the limit fails, fewer than half of them or more: the leak stands."""
    source = """
        import pytest, resource, socket

        resource.setrlimit(resource.RLIMIT_NOFILE, (150, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        kept = []

        async def app(scope, receive, send):
            kept.extend(socket.socket() for _ in range(PER_ITERATION))
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})

        @pytest.fixture
        def memleak_app():
            return app

        MARK
        async def test_it(memleak):
            await memleak.send([("GET", "/")], count=1)
        """
    mark = '@pytest.mark.memleak(duration="60min")'
    report = run(project, source.replace("PER_ITERATION", str(per_iteration)), mark=mark, failed=1)
    assert "LEAK: 150 file descriptors after 60 iterations" in report


@pytest.mark.parametrize(("at_most", "outcome"), [(15, "passed"), (10_000, "failed")])
def test_a_slow_rise_is_followed_until_a_pool_would_have_its_size(project, at_most, outcome):
    """Memory has passed by the 300th iteration, when 15 threads have come; a pool of 15 gets no more."""
    project.makepyfile(
        f"""
        import threading
        import pytest

        end, threads = threading.Event(), []

        @pytest.fixture(autouse=True)
        def ended():
            yield
            end.set()
            for thread in threads:
                thread.join()

        @pytest.mark.memleak(simulate_time=False)
        def test_it(memleak):
            if memleak.iteration % 20 == 0 and len(threads) < {at_most}:
                threads.append(threading.Thread(target=end.wait))
                threads[-1].start()
        """
    )

    project.runpytest_subprocess("--memcheck").assert_outcomes(**{outcome: 1})


def test_what_piles_up_until_the_day_would_never_end_is_told_at_once(project):
    project.makepyfile(
        test_it="""
        import asyncio, pytest
        from pytest_memleak.simtime import real_monotonic

        tasks = []

        @pytest.mark.memleak(duration="24h")
        async def test_it(memleak):
            tasks.extend(asyncio.create_task(asyncio.Event().wait()) for _ in range(4))
            until = real_monotonic() + (memleak.iteration / 60) ** 4
            while real_monotonic() < until:
                pass
        """
    )
    project.runpytest_subprocess("--memcheck").assert_outcomes(failed=1)
    report = " ".join((project.path / "leak_report.txt").read_text("utf-8").split())
    assert re.search(r"LEAK: \d+ asyncio tasks after \d\d iterations, .* rising by 4 per iteration", report)
    assert "of 1,440 iterations, not explained: one takes" in report


@pytest.mark.parametrize("lifespan", [True, False], ids=["lifespan", "no lifespan"])
def test_only_an_app_that_is_told_of_its_end_can_leave_a_client_open(project, lifespan):
    source = f"""
        import httpx, pytest

        kept = []

        async def app(scope, receive, send):
            while {lifespan} and scope["type"] == "lifespan":
                kind = (await receive())["type"]
                await send({{"type": f"{{kind}}.complete"}})
            if scope["type"] != "http":
                return
            if not kept:
                kept.append(httpx.AsyncClient(verify=False))
            await send({{"type": "http.response.start", "status": 200, "headers": []}})
            await send({{"type": "http.response.body"}})

        @pytest.fixture
        def memleak_app():
            return app

        MARK
        async def test_it(memleak_client):
            await memleak_client.get("/")
        """
    report = run(project, source, **({"failed": 1} if lifespan else {"passed": 1}))
    told = "open after the shutdown; none made since" if lifespan else "open at the end; the app had no shutdown"
    assert f"1 httpx.AsyncClient {told}" in " ".join(report.split())
