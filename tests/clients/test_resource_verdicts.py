"""The verdicts on fabricated readings: what fails, what is a note, what is said."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_memleak.judge.counts import MIN_ITERATIONS, rise_per_iteration, slowed_down_by
from pytest_memleak.judge.resources import judge_resources
from pytest_memleak.model import (
    ClientGroup,
    DroppedGroup,
    Finding,
    ResourceCount,
    ResourceGroup,
    ResourceReadings,
    ResourceSeries,
    Site,
    WarningGroup,
)

SITE = Site(path="/srv/app/clients.py", line=12, function="fetch")
ROOT = "/srv"
N = 240


# --- the rule for counts ---


@pytest.mark.parametrize("every", [1, 2, 5, 20])
@pytest.mark.parametrize("size", [120, 240, 1440])
def test_a_staircase_keeps_rising(every: int, size: int) -> None:
    rate = rise_per_iteration([3 + i // every for i in range(size)])
    assert rate == pytest.approx(1 / every, rel=0.2)


@pytest.mark.parametrize("size", [60, 240, 1440])
def test_a_staircase_keeps_rising_under_noise(size: int) -> None:
    noise = random.Random(size)
    assert rise_per_iteration([10 + i // 2 + noise.randint(-3, 3) for i in range(size)]) is not None


def test_a_slow_leak_of_one_an_hour_is_found_in_a_day() -> None:
    assert rise_per_iteration([i // 60 for i in range(1440)]) is not None


SLOWER = [0.01 * 1.1**i for i in range(80)]  # ten times as slow after 25 iterations, 14 s after 80


def test_a_run_is_given_up_only_when_it_has_slowed_down_and_something_piles_up() -> None:
    rising, level = [10 * i for i in range(80)], [7] * 80
    assert slowed_down_by(SLOWER, [level, rising], 10) == pytest.approx(1.1**60, rel=0.1)
    assert slowed_down_by(SLOWER, [level], 10) is None  # slow for a reason of its own
    assert slowed_down_by(SLOWER, [list(range(80))], 10) is None  # a pool grows like this
    assert slowed_down_by([0.01] * 80, [rising], 10) is None
    assert slowed_down_by([seconds / 100 for seconds in SLOWER], [rising], 10) is None  # still fast
    assert slowed_down_by(SLOWER[:59], [rising[:59]], 10) is None


INNOCENT: dict[str, Sequence[int]] = {
    "constant": [5] * N,
    "one step": [5] * 100 + [25] * 140,
    "fills a pool in half of the run": [min(i, 120) for i in range(N)],
    "fills slowly, then stays": [min(i // 5, 30) for i in range(N)],
    "sawtooth": [i % 30 for i in range(N)],
    "sawtooth with few teeth": [i % 100 for i in range(N)],
    "falling": [N - i for i in range(N)],
    "one more at the very end": [5] * (N - 1) + [50],
    "two more in all": [5 + i // 100 for i in range(N)],
    "too short to tell": list(range(MIN_ITERATIONS - 1)),
    "nothing": [],
}


@pytest.mark.parametrize("name", INNOCENT)
def test_what_levels_off_does_not_keep_rising(name: str) -> None:
    assert rise_per_iteration(INNOCENT[name]) is None


@pytest.mark.parametrize("size", [60, 240, 1440])
def test_noise_does_not_keep_rising(size: int) -> None:
    noise = random.Random(size)
    for _ in range(300):
        few = [10 + noise.randint(-3, 3) for _ in range(size)]
        wide = [max(0, round(noise.gauss(20, 5))) for _ in range(size)]
        assert rise_per_iteration(few) is None
        assert rise_per_iteration(wide) is None


# --- clients ---


def client(births: Sequence[int], **more: Any) -> ClientGroup:
    values = {"name": "httpx.AsyncClient", "type_name": "httpx.AsyncClient", "site": SITE}
    return ClientGroup(**{**values, "owner": None, "before_run": False, "births": tuple(births), **more})


def drop(count: int, **more: Any) -> DroppedGroup:
    values: dict[str, Any] = {"name": "httpx.Client", "type_name": "httpx.Client", "site": SITE}
    values |= {"owner": None, "closes_on_collect": False, "first_iteration": 0, "last_iteration": 9}
    return DroppedGroup(**{**values, "count": count, **more})


def alive(counts: Sequence[int]) -> ResourceSeries:
    return ResourceSeries(kind="client", counts=counts, count_settled=counts[-1])


def judge(
    *,
    before: Sequence[ClientGroup] = (),
    after: Sequence[ClientGroup] = (),
    series: Sequence[ResourceSeries] = (),
    dropped: Sequence[DroppedGroup] = (),
    warnings: Sequence[WarningGroup] = (),
    **arguments: Any,
) -> tuple[tuple[ResourceCount, ...], tuple[Finding, ...]]:
    readings = ResourceReadings(
        iterations=N,
        series=tuple(series),
        open_before_shutdown=tuple(before),
        open_after_shutdown=tuple(after),
        dropped=tuple(dropped),
        warnings=tuple(warnings),
    )
    return judge_resources(readings, root=ROOT, **arguments)


def test_nothing_open_is_no_finding() -> None:
    assert judge(series=[alive([0] * N)]) == ((), ())


def test_clients_that_grow_fail_with_number_rate_line_and_remedy() -> None:
    leaked = client(range(N))
    counts, findings = judge(before=[leaked], after=[leaked], series=[alive(range(N))])

    assert findings == (
        Finding(
            kind="unclosed_client",
            summary="240 httpx.AsyncClient open after 240 iterations and rising by 1 per iteration; "
            "the number must level off",
            details=(
                "made at app/clients.py:12 in fetch",
                "still open after the shutdown",
                "create one client in the lifespan and close it there, or use `async with`",
            ),
            path="/srv/app/clients.py",
            line=12,
            fails=True,
        ),
    )
    assert counts == (
        ResourceCount(
            kind="client",
            name="httpx.AsyncClient",
            count_start=25,  # the first tenth is warm-up
            count_end=240,
            per_iteration=1.0,
            sites=("app/clients.py:12",),
        ),
    )


def test_clients_that_grow_fail_though_the_shutdown_closes_them() -> None:
    [finding] = judge(before=[client(range(0, N, 5))], series=[alive([i // 5 for i in range(N)])])[1]
    assert finding.fails
    assert "closed by the shutdown" in finding.details


def test_a_cache_that_renews_its_clients_does_not_grow() -> None:
    newest = client(range(N - 100, N))
    assert judge(before=[newest], series=[alive([min(i, 100) for i in range(N)])])[1] == ()


def test_a_pool_that_filled_early_does_not_grow() -> None:
    pool = client(range(20))
    assert judge(before=[pool], series=[alive([min(i, 20) for i in range(N)])])[1] == ()


def test_a_client_left_open_after_the_shutdown_fails() -> None:
    single = client([0])
    counts, [finding] = judge(before=[single], after=[single], series=[alive([1] * N)])
    assert finding.fails
    assert finding.summary == ("1 httpx.AsyncClient open after the shutdown; none made since the startup may be")
    assert counts[0].count_end == 1


def test_a_client_that_the_shutdown_itself_made_and_left_fails() -> None:
    counts, [finding] = judge(after=[client([N])], series=[alive([0] * N)])
    assert finding.fails
    assert [count.count_end for count in counts] == [1]


def test_a_client_open_before_the_run_is_listed_and_never_fails() -> None:
    earlier = client([-1], before_run=True, site=None)
    counts, [finding] = judge(before=[earlier], after=[earlier])
    assert not finding.fails
    assert finding.summary == "1 httpx.AsyncClient open, made before the run; not judged"
    assert counts == ()


def test_what_a_client_made_before_the_run_opens_for_itself_is_not_judged_either() -> None:
    """A module's `create_async_engine` keeps a connection in its pool; a number that grows is another matter."""
    engine = client([-1], before_run=True, name="sqlalchemy.Engine", type_name="sqlalchemy.engine.base.Engine")
    inner = client([0], name="aiosqlite.Connection", type_name="aiosqlite.Connection", owner="sqlalchemy")
    assert not any(finding.fails for finding in judge(before=[engine, inner], after=[engine, inner])[1])

    more = client(range(N), name="aiosqlite.Connection", type_name="aiosqlite.Connection", owner="sqlalchemy")
    findings = judge(before=[engine, more], after=[engine, more], series=[alive(range(1, N + 1))])[1]
    assert [finding.fails for finding in findings] == [True, False]


def test_a_subclass_is_named() -> None:
    own = client([0], name="httpx2.AsyncClient", type_name="openai.Wrapper", site=None)
    [finding] = judge(after=[own])[1]
    assert finding.summary.startswith("1 httpx2.AsyncClient (openai.Wrapper) open")
    assert finding.details[0].startswith("made where no line of the app was running")


def test_what_another_client_made_for_itself_is_told_with_its_owner_only() -> None:
    engine = client([0], name="sqlalchemy.Engine", type_name="sqlalchemy.engine.base.Engine")
    inner = client([0], name="aiosqlite.Connection", type_name="aiosqlite.Connection", owner="sqlalchemy")

    [finding] = judge(after=[inner, engine])[1]
    assert finding.summary.startswith("1 sqlalchemy.Engine open")
    [orphan] = judge(after=[inner])[1]
    assert "made by sqlalchemy for itself" in orphan.details


def test_a_dropped_client_fails() -> None:
    [finding] = judge(dropped=[drop(480)])[1]
    assert (finding.kind, finding.fails, finding.line) == ("dropped_client", True, 12)
    assert finding.summary == "480 httpx.Client dropped without close, 2 per iteration; none may be"


def test_a_dropped_client_whose_library_closes_it_is_a_note() -> None:
    session = drop(1, name="requests.Session", type_name="requests.sessions.Session", closes_on_collect=True)
    [finding] = judge(dropped=[session])[1]
    assert not finding.fails
    assert finding.summary.endswith("requests closes it when it is collected")


@pytest.mark.parametrize(
    "pattern",
    ["httpx.AsyncClient", "httpx.*", "app/clients.py:12", "app/*.py:*", "/srv/app/clients.py:12", "*"],
)
def test_allowed_clients_are_no_findings_but_are_counted(pattern: str) -> None:
    leaked = client(range(N))
    series = [alive(range(N))]
    counts, findings = judge(before=[leaked], after=[leaked], series=series, allow_unclosed=[pattern])
    assert findings == ()
    assert counts[0].count_end == N


@pytest.mark.parametrize("pattern", ["httpx.Client", "aiohttp.*", "app/clients.py:1", "other/*.py:12"])
def test_other_patterns_allow_nothing(pattern: str) -> None:
    assert judge(after=[client([0])], allow_unclosed=[pattern])[1] != ()


def test_allowed_drops_are_no_findings() -> None:
    assert judge(dropped=[drop(3)], allow_unclosed=["httpx.Client"])[1] == ()


# --- other resources ---


def growing(kind: str, *groups: ResourceGroup, settled: int = 250) -> ResourceSeries:
    start = (ResourceGroup(name="pipe", count=1),)
    counts = [10 + i for i in range(N)]
    return ResourceSeries(
        kind=kind, counts=counts, count_settled=settled, groups_start=start, groups_end=(*start, *groups)
    )


@pytest.mark.parametrize("kind", ["fd", "thread", "task", "child_process", "async_generator"])
def test_each_kind_that_grows_fails_and_is_named(kind: str) -> None:
    [finding] = judge(series=[growing(kind, ResourceGroup(name="refresh", count=240, site=SITE))])[1]
    assert (finding.kind, finding.fails, finding.line) == ("unclosed_resource", True, 12)
    assert finding.summary.endswith("rising by 1 per iteration; the number must level off")
    assert finding.details[0] == "+240 refresh at app/clients.py:12"


def test_descriptors_are_told_by_what_they_are() -> None:
    sockets = ResourceGroup(name="socket to 127.0.0.1:6379", count=240)
    counts, [finding] = judge(series=[growing("fd", sockets)])
    assert finding.summary == (
        "250 file descriptors after 240 iterations, 34 after iteration 25, rising by 1 per iteration; "
        "the number must level off"
    )
    assert finding.details == (
        "+240 socket to 127.0.0.1:6379",
        "close each file, socket and pipe, or open it with `with`",
    )
    assert counts[0].sites == ("socket to 127.0.0.1:6379",)


def test_work_in_flight_that_settles_is_no_growth() -> None:
    counts, findings = judge(series=[growing("task", settled=10)])
    assert findings == ()
    assert (counts[0].count_end, counts[0].per_iteration) == (10, 0.0)


def test_a_task_that_moved_on_to_another_line_is_no_addition() -> None:
    series = ResourceSeries(
        kind="task",
        counts=list(range(N)),
        count_settled=N,
        groups_start=(ResourceGroup(name="main", count=1, site=Site(path="/srv/a.py", line=1)),),
        groups_end=(
            ResourceGroup(name="main", count=1, site=Site(path="/srv/a.py", line=9)),
            ResourceGroup(name="leaked", count=N, site=SITE),
        ),
    )
    [finding] = judge(series=[series])[1]
    assert [line for line in finding.details if line.startswith("+")] == ["+240 leaked at app/clients.py:12"]


def test_an_allowed_line_may_grow() -> None:
    series = growing("task", ResourceGroup(name="refresh", count=240, site=SITE))
    assert judge(series=[series], allow_unclosed=["app/clients.py:12"])[1] == ()


def test_the_warm_up_is_not_judged() -> None:
    series = ResourceSeries(kind="fd", counts=[min(i, 200) for i in range(N)], count_settled=200)
    assert judge(series=[series], warm_up=200)[1] == ()


@pytest.mark.parametrize("per_iteration", [5, 50])
def test_a_count_that_reaches_the_limit_has_not_levelled_off(per_iteration: int) -> None:
    counts = [min(20 + i * per_iteration, 1_024) for i in range(N)]
    series = ResourceSeries(kind="fd", counts=counts, count_settled=1_024, limit=1_024)
    [finding] = judge(series=[series], warm_up=10)[1]
    assert finding.fails
    assert finding.summary.startswith("1,024 file descriptors after 240 iterations, 20 after iteration 1, rising by ")


def test_temporary_files_are_told_by_their_folder() -> None:
    groups = [ResourceGroup(name=f"file /var/cache/tmp{i:04x}", count=1) for i in range(200)]
    log = ResourceGroup(name="file /var/log/app.log", count=7)
    series = ResourceSeries(kind="fd", counts=list(range(N)), count_settled=N, groups_end=(*groups, log))

    [finding] = judge(series=[series])[1]

    assert finding.details[:2] == ("+200 files in /var/cache, such as tmp0000", "+7 file /var/log/app.log")


def test_a_burst_up_to_the_limit_that_ends_is_no_growth() -> None:
    counts = [20, *[1_024] * 5, *[20] * (N - 6)]
    series = ResourceSeries(kind="fd", counts=counts, count_settled=20, limit=1_024)
    assert judge(series=[series])[1] == ()


def test_a_process_that_was_at_its_limit_before_the_run_is_not_judged() -> None:
    series = ResourceSeries(kind="fd", counts=[1_024] * N, count_settled=1_024, limit=1_024)
    assert judge(series=[series])[1] == ()


def test_a_resource_warning_is_a_note() -> None:
    unclosed = WarningGroup(message="unclosed file", site=SITE, count=3, first_iteration=0, last_iteration=2)
    [finding] = judge(warnings=[unclosed])[1]
    assert (finding.kind, finding.fails) == ("unclosed_resource", False)
    assert finding.summary == "ResourceWarning, 3 times: unclosed file"


def test_a_warning_about_a_client_that_is_told_anyway_is_left_out() -> None:
    session = drop(1, name="aiohttp.ClientSession", type_name="aiohttp.client.ClientSession")
    unclosed = WarningGroup(
        message="Unclosed client session <aiohttp.client.ClientSession object at 0x7f>",
        site=SITE,
        count=1,
        first_iteration=0,
        last_iteration=0,
    )
    [finding] = judge(dropped=[session], warnings=[unclosed])[1]
    assert finding.kind == "dropped_client"


def test_what_fails_comes_first() -> None:
    note = drop(900, name="requests.Session", type_name="requests.Session", closes_on_collect=True)
    findings = judge(dropped=[note, drop(1)])[1]
    assert [finding.fails for finding in findings] == [True, False]


def test_a_run_that_never_came_to_its_end_is_judged_by_what_it_saw() -> None:
    counts, findings = judge_resources(ResourceReadings(iterations=0, dropped=(drop(1),)))
    assert counts == ()
    assert [finding.kind for finding in findings] == ["dropped_client"]
