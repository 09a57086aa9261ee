"""The kind of growth follows from numbers alone."""

from __future__ import annotations

import pytest

from pytest_memleak.explain.cause import cause_of
from pytest_memleak.explain.lines import Line, app_frame, rank
from pytest_memleak.model import GrowthFacts, Site

MB = 1_000_000


def facts(
    rss: float,
    live: float | None,
    *,
    on_live: bool = False,
    vms: float | None = None,
    trimmed: float | None = None,
    threads: float = 0,
) -> GrowthFacts:
    return GrowthFacts(
        iterations=1_000,
        rss_bytes_per_iteration=rss,
        rss_growth_bytes=rss * 1_000,
        live_bytes_per_iteration=live,
        vms_growth_bytes=vms,
        trimmed_bytes=trimmed,
        threads_per_iteration=threads,
        on_live_bytes=on_live,
    )


@pytest.mark.parametrize(
    ("growth", "python_bytes", "kind"),
    [
        (facts(35_000, 35_000), 34_000, "python"),
        (facts(35_000, None), 34_000, "python"),
        (facts(35_000, 34_000), 300, "native"),
        (facts(57_000, 56_000), 15_000, "mixed"),
        (facts(80_000, 100, vms=80 * MB, trimmed=79 * MB), 50, "fragmentation"),
        (facts(80_000, 100, vms=80 * MB, trimmed=0), 50, "maps"),
        (facts(80_000, 100, vms=0, trimmed=0), 50, "first_touch"),
        (facts(80_000, 100, vms=8_000 * MB, threads=1), 50, "threads"),
        (facts(80_000, 100), 50, "unknown"),
        (facts(12_000, 2_500, vms=0, on_live=True), 2_400, "python"),  # a short run, in which RSS creeps
        (facts(12_000, 2_500, vms=12 * MB, on_live=True), 100, "native"),
        (facts(0, 0), 0, "unknown"),
    ],
)
def test_kind(growth: GrowthFacts, python_bytes: float, kind: str) -> None:
    assert cause_of(growth, python_bytes).kind == kind


def test_fragmentation_is_told_with_its_numbers() -> None:
    cause = cause_of(facts(80_000, 100, vms=80 * MB, trimmed=79 * MB), 50)
    assert cause.sentence == (
        "RSS grew 80.0 MB, the heap did not; trimming gave 79.0 MB back: freed memory not returned, not a leak"
    )


def test_small_objects_are_counted_as_the_sensor_counts_them() -> None:
    """24-byte floats: the sensor takes 96 bytes for each, tracemalloc 24."""
    assert cause_of(facts(9_600, 9_600), 2_400, 9_600).kind == "python"


def line(path: str, size: float, *, steady: bool = True, driver: bool = False) -> Line:
    return Line(
        site=Site(path=path, line=1),
        bytes_per_iteration=size,
        blocks_per_iteration=1,
        is_steady=steady,
        is_driver=driver,
    )


def test_the_apps_lines_come_before_larger_ones_of_dependencies() -> None:
    library = "/venv/lib/python3.12/site-packages/pydantic/main.py"
    rows = [line(library, 5_000), line("/srv/app.py", 400), line("/srv/test_app.py", 900, driver=True)]
    assert [row.site.path for row in rank(rows)] == ["/srv/app.py", library, "/srv/test_app.py"]


def test_a_line_of_the_tests_own_leads_only_when_the_app_keeps_little() -> None:
    driver = line("/srv/test_app.py", 900, driver=True)
    assert rank([line("/srv/app.py", 600), driver])[0].site.path == "/srv/app.py"
    assert rank([line("/srv/app.py", 60), driver])[0].site.path == "/srv/test_app.py"


def test_the_walk_up_the_stack_ends_where_the_app_was_called() -> None:
    library, door = "/v/site-packages/x/y.py", "/v/site-packages/httpx/_transports/asgi.py"
    assert app_frame(((library, 1), ("/srv/app.py", 7), (door, 1), ("/srv/test.py", 3))) == ("/srv/app.py", 7)
    assert app_frame(((library, 1), (door, 1), ("/srv/test.py", 3))) is None
