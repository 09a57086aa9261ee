"""memleak.send: proportions, order, concurrency, bodies and errors; what counts as a request."""

from __future__ import annotations

import sys


def test_send(project, memcheck, properties, report):
    project.makepyfile(
        """
        import asyncio
        import json
        import pytest

        seen = []
        at_once = [0, 0]

        @pytest.fixture
        def memleak_app():
            async def app(scope, receive, send):
                assert scope["type"] == "http"
                seen.append((scope["method"], scope["path"], (await receive())["body"]))
                at_once[0] += 1
                at_once[1] = max(at_once)
                await asyncio.sleep(0)
                at_once[0] -= 1
                if scope["path"] == "/broken":
                    raise RuntimeError("broken")
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": scope["path"].encode()})

            return app

        @pytest.fixture(autouse=True)
        def forget():
            seen.clear()
            at_once[:] = [0, 0]

        MIX = [("GET", "/a", 8), ("POST", "/b?c=1", 2, {"text": "…"})]

        @pytest.mark.memleak
        async def test_proportions(memleak):
            responses = await memleak.send(MIX, count=10)
            paths = [response.text for response in responses]
            assert paths == [path for _, path, _ in seen[-10:]]
            assert (paths.count("/a"), paths.count("/b")) == (8, 2)
            assert json.loads(seen[-10:][paths.index("/b")][2]) == {"text": "…"}
            assert at_once[1] == 1

        @pytest.mark.memleak
        async def test_proportions_over_iterations(memleak):
            # Three of ten a time: the proportions hold over the run, not in each iteration.
            await memleak.send(MIX, count=3)
            if memleak.iteration == 59:
                assert sum(path == "/b" for _, path, _ in seen) == 180 * 2 / 10

        @pytest.mark.memleak
        async def test_concurrency(memleak):
            responses = await memleak.send([("GET", "/1"), ("GET", "/2"), ("GET", "/3")], count=9, concurrency=4)
            assert [response.text for response in responses] == ["/1", "/2", "/3"] * 3
            assert at_once[1] == 4

        @pytest.mark.memleak
        async def test_less_than_half_broken(memleak):
            responses = await memleak.send([("GET", "/a", 6), ("GET", "/broken", 4)])
            assert sorted({response.status_code for response in responses}) == [200, 500]

        @pytest.mark.memleak
        async def test_mostly_broken(memleak):
            await memleak.send([("GET", "/a", 4), ("GET", "/broken", 6)])

        @pytest.mark.memleak(allow_errors=True)
        async def test_broken_on_purpose(memleak):
            await memleak.send([("GET", "/broken")])

        @pytest.mark.memleak
        async def test_exception_raises_into_the_client(memleak_client):
            with pytest.raises(RuntimeError, match="broken"):
                await memleak_client.get("/broken")
            await memleak_client.get("/a")
        """
    )

    result = memcheck("--memcheck-no-explain")

    result.assert_outcomes(passed=7)
    found = properties()
    assert {name: (values["verdict"], values["requests"]) for name, values in found.items()} == {
        "test_proportions": ("passed", "600"),
        "test_proportions_over_iterations": ("passed", "180"),
        "test_concurrency": ("passed", "540"),
        "test_less_than_half_broken": ("passed", "600"),
        "test_mostly_broken": ("inconclusive", "600"),
        "test_broken_on_purpose": ("passed", "600"),
        "test_exception_raises_into_the_client": ("passed", "120"),
    }
    written = " ".join(report().split())
    assert "360 of 600 requests failed with an unhandled exception or a 5xx status" in written
    assert "GET /a x 480, POST /b x 120" in written


def test_client_errors_do_not_spoil_the_verdict(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        async def test_404(memleak):
            await memleak.send([("GET", "/404")])

        @pytest.mark.memleak
        async def test_500(memleak):
            await memleak.send([("GET", "/500")])
        """
    )

    memcheck().assert_outcomes(passed=2)

    assert {name: values["verdict"] for name, values in properties().items()} == {
        "test_404": "passed",
        "test_500": "inconclusive",
    }


def test_traffic_of_production_scales_the_rate(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak(traffic="50/s")
        async def test_scaled(memleak):
            await memleak.send([("GET", "/small")], count=1)

        @pytest.mark.memleak(traffic="50/s")
        def test_without_requests():
            pass
        """
    )

    memcheck("--memcheck-no-explain").assert_outcomes(passed=1, failed=1)

    found = properties()
    per_request = float(found["test_scaled"]["bytes_per_request"])
    assert float(found["test_scaled"]["growth_mb_per_24h"]) / (per_request * 50 * 86_400 / 1e6) - 1 < 0.01
    assert float(found["test_scaled"]["budget_mb_per_24h"]) == 500
    assert found["test_without_requests"]["verdict"] == "passed"


def test_async_with_in_the_body_keeps_the_client(project, memcheck):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak(duration="60min")
        async def test_it(memleak_client):
            async with memleak_client as client:
                assert (await client.get("/ok")).status_code == 200
        """
    )
    memcheck().assert_outcomes(passed=1)


def test_import_string_resolves_in_the_root_directory(pytester):
    pytester.makepyfile(shop="async def app(scope, receive, send): ...")
    tests = pytester.mkdir("tests")
    (tests / "test_shop.py").write_text(
        "import pytest\n@pytest.fixture\ndef memleak_app(): return 'shop:app'\n"
        "def test_app(memleak): assert memleak.app.app.__module__ == 'shop'\n",
        encoding="utf-8",
    )

    # As the command `pytest` does, which puts only the folder of the tests on sys.path.
    pytester.run(sys.executable, "-P", "-m", "pytest", "--rootdir=.", "tests").assert_outcomes(passed=1)
