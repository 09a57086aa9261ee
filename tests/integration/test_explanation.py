"""A leak is explained, through pytest: the line, the holder, the cause, and nothing that is secret."""

from __future__ import annotations

import re
import sys

import pytest

CONFIG = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
LEAK = """
    import pytest

    class Cache:
        store = {}

    def remember(user, data):
        Cache.store[user] = data + "!"

    @pytest.mark.memleak(ARGUMENTS)
    def test_it(memleak):
        for n in range(10):
            remember(f"{USER}-{memleak.iteration}-{n}", DATA)

    USER, DATA = bytes.fromhex("7365637265742d75736572").decode(), "".join(["very ", "secret "] * 20)
    """
QUICK = 'duration="60min", max_growth="100B/iteration"'


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makefile(".ini", pytest=CONFIG)
    return pytester


def run(project: pytest.Pytester, source: str, *options: str, **outcomes: int) -> str:
    project.makepyfile(test_it=source)
    project.runpytest_subprocess("--memcheck", *options).assert_outcomes(**outcomes)
    return (project.path / "leak_report.txt").read_text("utf-8")


def test_line_holder_and_cause(project):
    report = run(project, LEAK.replace("ARGUMENTS", QUICK), failed=1)
    assert "cause       Python objects" in report
    assert "line        test_it.py:7" in report
    assert "held by     test_it.Cache.store" in report


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="calls malloc of the C library")
def test_cycles_that_the_collector_frees_are_not_the_cause(project):
    source = """
        import ctypes, pytest

        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

        class Knot:
            def __init__(self):
                self.itself, self.weight = self, [0.0] * 50

        @pytest.mark.memleak(ARGUMENTS)
        def test_it():
            for _ in range(20):
                Knot()
            libc.memset(libc.malloc(2_000), 1, 2_000)
        """
    report = run(project, source.replace("ARGUMENTS", QUICK), failed=1)
    assert "cause       native allocations" in report
    assert "cycles" not in report


def test_what_keeps_unclosed_descriptors_is_named(project):
    source = """
        import pytest, socket

        KEPT = []

        @pytest.mark.memleak(duration="60min")
        def test_it():
            KEPT.append(socket.socket())
        """
    report = run(project, source, failed=1)
    assert "file descriptors after 60 iterations" in report
    assert "line        test_it.py:7" in report
    assert "held by     test_it.KEPT" in report


def test_values_are_never_printed(project):
    report = run(project, LEAK.replace("ARGUMENTS", QUICK), failed=1)
    assert "secret-user" not in report
    assert "very secret very" not in report


def test_a_plain_leak_is_found_without_explaining(project):
    for option, arguments in (("--memcheck-no-explain", QUICK), ("--memcheck", f"explain=False, {QUICK}")):
        report = run(project, LEAK.replace("ARGUMENTS", arguments), option, failed=1)
        assert "held by" not in report
        assert "LEAK" in report


def test_iterations_count_on_while_explaining(project):
    run(
        project,
        """
        import pytest

        seen = []
        kept = []

        @pytest.mark.memleak(duration="60min", max_growth="100B/iteration")
        def test_it(memleak):
            seen.append(memleak.iteration)
            kept.append(bytearray(1000))

        def test_after():
            assert len(seen) > 60
            assert seen == list(range(len(seen)))
        """,
        failed=1,
        passed=1,
    )


def test_a_body_that_fails_while_being_explained_keeps_the_verdict(project):
    report = run(
        project,
        """
        import pytest

        kept = []

        @pytest.mark.memleak(duration="60min", max_growth="100B/iteration")
        def test_it(memleak):
            assert memleak.iteration < 70
            kept.append(bytearray(1000))
        """,
        failed=1,
    )
    assert "LEAK" in report
    assert "note: the explanation ended early: the iteration raised AssertionError" in report


def test_routes_are_ranked(project):
    report = run(
        project,
        """
        import pytest
        from fastapi import FastAPI

        app, kept, seen = FastAPI(), [], {}

        @app.get("/healthy/{n}")
        async def healthy(n: int):
            return {}

        @app.get("/people/{name}")
        async def person(name: str):
            seen[name] = bytearray(5_000)
            return {}

        @app.post("/leaky")
        async def leaky(body: dict):
            kept.append(bytearray(20_000))
            return {}

        @pytest.fixture
        def memleak_app():
            return app

        @pytest.mark.memleak(duration="60min", max_growth="1kB/request")
        async def test_it(memleak):
            mix = [("GET", "/healthy/1", 3), ("GET", "/people/no{n}"), ("POST", "/leaky", 1, {"a": 1})]
            await memleak.send(mix, count=5)
        """,
        failed=1,
    )
    assert re.search(r"growth per request by route: POST /leaky 20\.\d kB, GET /people/\{name\} 5\.\d kB", report)


def test_a_traced_run(project):
    source = LEAK.replace("ARGUMENTS", f"explain=False, {QUICK}")
    after = """
    def test_after():
        import tracemalloc
        assert not tracemalloc.is_tracing()
    """
    report = run(project, source + after, "--memcheck-trace", failed=1, passed=1)
    assert "test_it.py:7" in report
    assert "traced" in report


def test_cycles_that_stay_where_the_collector_is_off_are_told(project):
    source = """
        import gc, pytest

        class Knot:
            def __init__(self):
                self.itself = self

        @pytest.mark.memleak(duration="60min")
        def test_it(memleak):
            gc.disable()
            Knot()

        @pytest.fixture(autouse=True)
        def restored():
            yield
            gc.enable()
        """
    report = run(project, source, passed=1)
    assert "note: the garbage collector is off (gc.disable())" in report
    assert re.search(r"found [1-4] objects each time in reference cycles", " ".join(report.split()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="calls malloc of the C library")
def test_the_client_of_the_test_is_never_the_line_that_leaks(project):
    source = """
        import ctypes, pytest
        from fastapi import FastAPI

        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        app = FastAPI()

        @app.get("/{n}")
        async def lose(n: int):
            libc.memset(libc.malloc(3000), 1, 3000)

        @pytest.fixture
        def memleak_app():
            return app

        @pytest.mark.memleak(duration="60min", max_growth="100B/request")
        async def test_it(memleak):
            await memleak.send([("GET", "/{n}")], count=20)
        """
    report = run(project, source, failed=1)
    lines = [line for line in report.splitlines() if line.startswith("  line ")]
    assert all("test_it.py:12" in line for line in lines), lines
    assert "cause       native allocations" in report


def test_a_weak_reference_for_each_thread_is_told_at_its_line(project):
    """100 bytes a request: what the test's client takes from freed blocks is no part of it."""
    source = """
        import threading, weakref
        import pytest
        from fastapi import FastAPI

        app, seen = FastAPI(), []

        @app.get("/")
        async def note():
            thread = threading.Thread(target=lambda: seen.append(weakref.ref(threading.current_thread())))
            thread.start()
            thread.join()

        @pytest.fixture
        def memleak_app():
            return app

        @pytest.mark.memleak(duration="120min", max_growth="32B/request")
        async def test_it(memleak_client):
            for _ in range(10):
                await memleak_client.get("/")
        """
    report = run(project, source, failed=1)
    assert "line        test_it.py:9" in report
    assert "held by     test_it.seen" in report
    assert report.count("allocations per iteration") == 1


@pytest.mark.parametrize("traced", [False, True], ids=["", "traced"])
def test_a_growth_that_does_not_come_back_accuses_no_line(project, traced):
    """A job of every hour: the 30 iterations of an explanation do not see it, the trace of the run does."""
    source = f"""
        import time, pytest

        reports = []

        @pytest.mark.memleak(duration="24h", max_growth="10MB/24h", trace={traced})
        def test_it(memleak):
            if memleak.iteration % 60 == 59:
                reports.append(bytearray(5_000_000))
        """
    report = run(project, source, failed=1)
    told = " ".join(report.split())
    assert "in 30 more iterations the growth did not come back" in told
    assert ("trace=True (--memcheck-trace) follows" in told) is not traced
    lines = [line.split()[1] for line in report.splitlines() if line.startswith("  line ")]
    assert lines == (["test_it.py:8"] if traced else [])
    assert "cause  " not in report


def test_however_an_extra_iteration_ends_the_verdict_stands(project):
    report = run(
        project,
        """
        import asyncio, gc, sys, threading
        import httpx, pytest

        kept = []

        def cancel(why):
            raise asyncio.CancelledError(why)

        def hang(why):
            threading.Event().wait(60)

        async def app(scope, receive, send):
            kept.append(bytearray(1000))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

        @pytest.fixture
        def memleak_app():
            return app

        def test_a_heap_that_is_frozen():
            gc.freeze()

        @pytest.mark.parametrize("end", [pytest.skip, pytest.fail, sys.exit, cancel, hang])
        @pytest.mark.memleak(duration="60min", max_growth="100B/iteration", iteration_timeout="0.5s")
        def test_it(memleak, end):
            kept.append(bytearray(1000))
            if memleak.iteration >= 60:
                end("private reason")

        @pytest.mark.memleak(duration="60min", max_growth="100B/request")
        async def test_routes(memleak, memleak_client):
            await memleak_client.get("/a")
            await memleak_client.get("/b")
            assert memleak.iteration < 60

        @pytest.mark.memleak(duration="60min")
        def test_a_client_of_the_extra_iterations(memleak):
            kept.append(bytearray(100_000))
            if memleak.iteration == 65:
                kept.append(httpx.Client(verify=False))

        def test_the_heap_is_frozen_still():
            assert gc.get_freeze_count() > 10_000
        """,
        failed=6,
        passed=3,
    )
    assert report.count("LEAK: grows by") == 6
    told = " ".join(report.split())
    for raised in ("Skipped", "Failed", "SystemExit", "CancelledError"):
        assert f"the explanation ended early: the iteration raised {raised}" in told
    assert "the explanation ended early: an iteration took longer than 5 times iteration_timeout" in told
    assert "private reason" not in told


def test_ctrl_c_while_explaining_keeps_the_verdict(project):
    source = """
        import signal, pytest

        kept = []
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

        @pytest.mark.memleak(duration="60min", max_growth="100B/iteration")
        def test_it(memleak):
            kept.append(bytearray(1000))
            if memleak.iteration == 65:
                signal.raise_signal(signal.SIGINT)
        """
    project.makepyfile(test_it=source)
    result = project.runpytest_subprocess("--memcheck")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "LEAK: grows by" in (project.path / "leak_report.txt").read_text("utf-8")
