"""What pytest records for its own report neither is explained as a leak nor drowns the report of a failure."""

from __future__ import annotations

import pytest


def test_the_captured_log_is_not_explained(project, memcheck, report):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak(max_growth="1MB/24h")
        async def test_it(memleak):
            await memleak.send([("GET", "/small"), ("GET", "/log")], count=4)
        """
    )

    memcheck("-o", "log_level=INFO").assert_outcomes(failed=1)

    assert "app.kept" in report()
    assert "LogRecord" not in report()
    assert "logging/__init__.py" not in report()


@pytest.mark.parametrize("capture", ["fd", "sys"])
def test_a_failure_shows_what_its_own_iteration_printed(project, memcheck, capture):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        async def test_it(memleak, memleak_client):
            await memleak_client.get("/print")
            assert memleak.iteration < 20
        """
    )

    result = memcheck(f"--capture={capture}")

    result.assert_outcomes(failed=1)
    printed = [line for line in result.stdout.lines if line.startswith("request ")]
    assert [line.split()[1] for line in printed] == ["21", "21"]  # on standard output and standard error
