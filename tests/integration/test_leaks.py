"""What leaks is found, by the sensor that can see it; what only looks like it is not."""

from __future__ import annotations

import pytest


def test_each_kind_of_leak_is_found(project, memcheck, properties, report):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        async def test_heap(memleak):
            await memleak.send([("GET", "/heap")], count=5)

        @pytest.mark.memleak
        async def test_small_objects(memleak):
            await memleak.send([("GET", "/small")], count=5)

        @pytest.mark.memleak
        async def test_memory_maps(memleak):
            await memleak.send([("GET", "/map")], count=5)

        @pytest.mark.memleak
        async def test_quiet(memleak):
            await memleak.send([("GET", "/ok")], count=5)

        kept = []

        @pytest.mark.memleak
        def test_without_app():
            kept.append(bytearray(1_000_000))
        """
    )

    result = memcheck("--memcheck-no-explain")

    result.assert_outcomes(passed=1, failed=4)
    found = properties()
    assert {name: values["verdict"] for name, values in found.items()} == {
        "test_heap": "leak",
        "test_small_objects": "leak",
        "test_memory_maps": "leak",
        "test_quiet": "passed",
        "test_without_app": "leak",
    }
    # 5 x 200 kB an iteration, 1,440 iterations a day
    assert float(found["test_heap"]["live_growth_mb_per_24h"]) == pytest.approx(1440, rel=0.05)
    assert float(found["test_heap"]["bytes_per_request"]) == pytest.approx(200_000, rel=0.05)
    # Blocks of 133 bytes and the list that holds them: exact only because the blocks are calibrated.
    assert float(found["test_small_objects"]["bytes_per_request"]) == pytest.approx(2_000 * 144 + 16_000, rel=0.05)
    # Memory maps are no live bytes: RSS alone sees them.
    assert float(found["test_memory_maps"]["live_growth_mb_per_24h"]) < 100
    assert float(found["test_memory_maps"]["growth_mb_per_24h"]) == pytest.approx(2 * 1440, rel=0.1)
    result.stdout.fnmatch_lines(["memory leak: grows by 1,4*MB/24h (99 % interval *; still growing after 1 h (*"])
    assert "5 tests checked: 4 leak, 1 passed" in report()


def test_small_leak_under_a_budget_per_request(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        kept = []

        @pytest.fixture
        def memleak_app():
            from app import app

            async def leaking(scope, receive, send):
                if scope["type"] == "http" and scope["path"] == "/leak":
                    kept.append(b"x" * 400 + str(len(kept)).encode())
                await app(scope, receive, send)

            return leaking

        MARK = pytest.mark.memleak(max_growth="64B/request", duration="2h", explain=False)

        @MARK
        async def test_leak(memleak):
            await memleak.send([("GET", "/leak")], count=20)

        @MARK
        async def test_clean(memleak):
            await memleak.send([("GET", "/ok")], count=20)
        """
    )

    memcheck().assert_outcomes(passed=1, failed=1)

    found = properties()
    assert found["test_leak"]["verdict"] == "leak"
    assert float(found["test_leak"]["bytes_per_request"]) == pytest.approx(450, rel=0.1)


def test_what_an_earlier_test_freed_does_not_excuse_memory_maps(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        pins = []

        def test_earlier():
            freed = [bytearray(60_000) for _ in range(1_000)]  # small enough to come from the heap
            pins.append(bytearray(60_000))  # the end of the heap stays in use: nothing is given back by itself

        @pytest.mark.memleak(max_growth="1kB/request", explain=False)
        async def test_memory_maps(memleak):
            await memleak.send([("GET", "/map")], count=1)
        """
    )
    memcheck().assert_outcomes(passed=1, failed=1)
    assert properties()["test_memory_maps"]["verdict"] == "leak"


def test_max_memory_stops_the_run(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        kept = []

        @pytest.mark.memleak(max_memory="200MB")
        def test_large():
            kept.append(bytearray(b"x") * 20_000_000)
        """
    )

    result = memcheck()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["memory leak: RSS reached 2*MB, above max_memory 200.0 MB, in iteration * of 60"])
    assert properties()["test_large"]["verdict"] == "leak"
    assert int(properties()["test_large"]["iterations"]) < 15


def test_inconclusive_warns_or_fails(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        @pytest.fixture
        def cache():
            return []

        def fill(cache, memleak):
            if memleak.iteration < 44:  # full just before the end: too late to tell from a leak
                cache.append(bytearray(b"x") * 1_400_000)

        @pytest.mark.memleak
        def test_warns(cache, memleak):
            fill(cache, memleak)

        @pytest.mark.memleak(inconclusive="fail")
        def test_fails(cache, memleak):
            fill(cache, memleak)
        """
    )

    result = memcheck()

    result.assert_outcomes(passed=1, failed=1)
    assert {values["verdict"] for values in properties().values()} == {"inconclusive"}
    result.stdout.fnmatch_lines(["*::test_warns: inconclusive: *", "*::test_fails: inconclusive: *"])


# An app that says something new with every request leaks nothing: what grows is what pytest keeps of it.
TALKING = """
    import pytest

    @pytest.mark.memleak(max_growth="64B/request", duration="2h")
    async def test_talking(memleak):
        await memleak.send([("GET", "/log"), ("GET", "/print"), ("GET", "/warn")], count=30)
"""


@pytest.mark.parametrize("flags", [(), ("--capture=sys",)], ids=str)
def test_talking_app_passes_a_tight_budget(project, memcheck, properties, flags):
    project.makepyfile(TALKING)

    result = memcheck("-o", "log_level=INFO", *flags)

    result.assert_outcomes(passed=1, warnings=1)
    assert {values["verdict"] for values in properties().values()} == {"passed"}
    result.stdout.fnmatch_lines(["*UserWarning: request *"])


def test_recordings_of_ordinary_tests_work_beside_a_check(project, memcheck):
    project.makepyfile(
        """
        import logging
        import warnings
        import pytest

        @pytest.mark.memleak
        def test_checked():
            print("checked")
            logging.warning("checked")
            warnings.warn("checked")

        def test_log(caplog):
            logging.warning("ordinary")
            assert [record.message for record in caplog.records] == ["ordinary"]

        def test_print(capsys):
            print("ordinary")
            assert capsys.readouterr().out == "ordinary\\n"

        def test_warning(recwarn):
            warnings.warn("ordinary")
            assert [str(warning.message) for warning in recwarn] == ["ordinary"]

        @pytest.mark.memleak
        def test_checked_log(caplog):
            logging.warning("again")
            assert [record.message for record in caplog.records] == ["again"]

        @pytest.mark.memleak
        def test_checked_print(capsys):
            print("again")
            assert capsys.readouterr().out == "again\\n"

        @pytest.mark.memleak
        def test_checked_warning(recwarn):
            warnings.warn("again")
            assert recwarn.pop(UserWarning)

        @pytest.mark.memleak
        def test_checked_warns():
            with pytest.warns(UserWarning, match="again"):
                warnings.warn("again")

        @pytest.mark.memleak
        @pytest.mark.filterwarnings("error")
        def test_warning_is_an_error():
            with pytest.raises(UserWarning):
                warnings.warn("again")
        """
    )

    result = memcheck()

    result.assert_outcomes(passed=9, warnings=1)
    result.stdout.fnmatch_lines(["*UserWarning: checked"])
