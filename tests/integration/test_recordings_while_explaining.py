"""What pytest records for its own report is no part of the explanation of a leak."""

from __future__ import annotations


def test_the_captured_log_is_not_explained(project, memcheck, report):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak(max_growth="1MB/24h")
        async def test_it(memleak):
            await memleak.send([("GET", "/small"), ("GET", "/log")], count=10)
        """
    )

    memcheck("-o", "log_level=INFO").assert_outcomes(failed=1)

    assert "app.kept" in report()
    assert "LogRecord" not in report()
    assert "logging/__init__.py" not in report()
