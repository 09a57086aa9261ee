"""The kind of growth follows from numbers alone."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest

from pytest_memleak.explain.cause import cause_of
from pytest_memleak.explain.lines import Line, app_frame, attribute, line_finding, rank
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


def test_what_is_left_open_is_counted_in_plain_words() -> None:
    growth = dataclasses.replace(facts(35_000, 35_000), clients_per_iteration=2, tasks_per_iteration=1)
    assert cause_of(growth, 34_000).sentence.endswith(
        "; left open: 2 clients per iteration; never finished: 1 asyncio task per iteration"
    )
    stacks = cause_of(facts(80_000, 100, vms=8_000 * MB, threads=1), 50).sentence
    assert stacks.endswith(": 1 thread more per iteration, each with its stack")


def test_a_line_tells_only_what_it_knows() -> None:
    """Resized memory is no new allocation, and of what native code keeps a line has no share."""
    resized = dataclasses.replace(line("/srv/app.py", 14), blocks_per_iteration=-0.5)
    assert line_finding(resized, 14, "/srv").summary == (
        "app.py:1 (app) keeps 14 B per iteration, 100 % of the growth in Python's memory"
    )
    assert line_finding(line("/srv/app.py", 14), 0, "/srv").summary == (
        "app.py:1 (app) keeps 14 B in 1 allocation per iteration"
    )


def test_a_stack_leaves_out_the_test_run() -> None:
    packages = ("x/y.py", "pytest_asyncio/plugin.py", "pluggy/_callers.py", "_pytest/python.py", "z.py")
    stack = tuple(Site(path=f"/v/site-packages/{path}", line=1) for path in packages)
    shown = line_finding(dataclasses.replace(line(stack[0].path, 14), stack=stack), 14, "/srv").details
    assert shown[-2:] == ("  site-packages/x/y.py:1", "  site-packages/z.py:1")


def test_a_stack_ends_at_the_apps_door() -> None:
    paths = (json.__file__, "/v/site-packages/x/y.py", "/srv/app.py", "/v/site-packages/httpx/_transports/asgi.py",
             "/v/site-packages/httpx/_client.py", "/srv/test.py")  # fmt: skip
    stack = tuple(Site(path=path, line=1) for path in paths)
    row = dataclasses.replace(line("/srv/app.py", 14), stack=stack, inside=stack[:1])
    details = line_finding(row, 14, "/srv").details
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    assert details[-4:] == (
        f"allocated inside {library}/json/__init__.py:1 (Python)",
        "stack, innermost first:",
        "  site-packages/x/y.py:1",
        "  app.py:1",
    )


def test_what_the_standard_library_allocates_counts_for_the_dependency_that_calls_it() -> None:
    """As in a thread of the dependency's, in which no line of the app's is on the stack."""
    call, first, second = ("/v/site-packages/x/loop.py", 7), (json.__file__, 1), (json.__file__, 2)
    stacks = {first: {(first, call): 10}, second: {(second, first, call): 10}}
    rows = attribute({first: (1_000.0, 4.0), second: (500.0, 1.0)}, stacks, steady=True)
    assert [(str(row.site), row.bytes_per_iteration, row.blocks_per_iteration) for row in rows] == [
        ("/v/site-packages/x/loop.py:7", 1_500.0, 5.0)
    ]
    tool = ("/v/site-packages/_pytest/python.py", 1)
    assert attribute({first: (10.0, 1.0)}, {first: {(first, tool, call): 1}}, steady=True)[0].site.path == first[0]


def test_what_the_lines_leave_unexplained_is_told() -> None:
    assert cause_of(facts(34_300, 34_300), 14_700, 25_000).sentence == (
        "Python objects: 14.7 kB of 34.3 kB per iteration stay allocated, the rest is not explained"
    )


def test_the_walk_up_the_stack_ends_where_the_app_was_called() -> None:
    library, door = "/v/site-packages/x/y.py", "/v/site-packages/httpx/_transports/asgi.py"
    assert app_frame(((library, 1), ("/srv/app.py", 7), (door, 1), ("/srv/test.py", 3))) == ("/srv/app.py", 7)
    assert app_frame(((library, 1), (door, 1), ("/srv/test.py", 3))) is None
