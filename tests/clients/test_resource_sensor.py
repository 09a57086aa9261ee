"""The sensor counts what the operating system and asyncio really hold."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from pytest_memleak.model import ResourceGroup, ResourceSeries, Site
from pytest_memleak.sense.activity import describe_async_generators, describe_tasks, describe_threads
from pytest_memleak.sense.descriptors import count_descriptors, describe_descriptors
from pytest_memleak.sense.resources import ResourceSensor, count_children, describe_children
from pytest_memleak.sense.settling import LIMIT_S, PATIENCE_S, settle_loop, settle_threads
from pytest_memleak.sense.warned import WarnedResources

HERE = __file__


def named(groups: Sequence[ResourceGroup], part: str) -> int:
    return sum(group.count for group in groups if part in group.name)


def lines_of(function: Callable[..., object]) -> range:
    code = function.__code__
    return range(code.co_firstlineno, max(line for *_, line in code.co_lines() if line) + 1)


# --- descriptors ---


def test_descriptors_are_counted_exactly() -> None:
    before = count_descriptors()
    with open(os.devnull, "rb"), tempfile.TemporaryFile(), socket.socket():
        assert count_descriptors() == before + 3
    assert count_descriptors() == before


def test_descriptors_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    listener = socket.create_server(("127.0.0.1", 0))
    # A server listens below the ports that the system gives out by itself.
    address = listener.getsockname()
    ends = os.pipe()
    with listener, socket.create_connection(address) as client, path.open("w"):
        accepted, _ = listener.accept()
        with accepted:
            groups = describe_descriptors()
            peer = f"socket to 127.0.0.1:{client.getpeername()[1]}"
            assert named(groups, peer) >= 1
            assert named(groups, f"unconnected socket at 127.0.0.1:{address[1]}") == 1
            assert named(groups, f"file {path}") == 1
            assert named(groups, "pipe") >= 2
    for end in ends:
        os.close(end)
    assert named(describe_descriptors(), "notes.txt") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="abstract and anonymous descriptors are Linux's")
def test_unix_sockets_and_event_queues_have_names(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    loop = asyncio.new_event_loop()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        groups = describe_descriptors()
    loop.close()

    assert named(groups, f"socket to {path}") == 1
    assert named(groups, f"unconnected socket at {path}") == 1
    assert named(groups, "eventpoll") >= 1
    assert named(groups, "socket pair") >= 1  # the loop wakes itself through one


# --- threads, children ---


def test_threads_are_named_with_their_line() -> None:
    stop = threading.Event()

    def poll_the_feed() -> None:
        stop.wait()

    threads = [threading.Thread(target=poll_the_feed) for _ in range(3)]
    for thread in threads:
        thread.start()
    groups = [group for group in describe_threads() if "poll_the_feed" in group.name]
    stop.set()
    for thread in threads:
        thread.join()

    assert [(group.name, group.count) for group in groups] == [("Thread-N (poll_the_feed)", 3)]
    assert groups[0].site is not None
    assert groups[0].site.path == HERE
    assert groups[0].site.line in lines_of(poll_the_feed)


def test_children_are_counted_until_they_are_waited_for() -> None:
    before = count_children()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert count_children() == before + 1
    assert named(describe_children(), "-c input()") == 1

    child.communicate(b"\n")
    assert count_children() == before


def test_a_child_that_ended_and_was_never_waited_for_is_said_to_be_one() -> None:
    reader, writer = os.pipe()
    child = subprocess.Popen([sys.executable, "-c", "pass"], pass_fds=[writer])
    os.close(writer)
    os.read(reader, 1)  # ends when the child does
    os.close(reader)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert named(describe_children(), "ended, not waited for") == 1
    child.wait()


# --- tasks and async generators ---


@pytest.mark.asyncio
async def test_a_task_is_named_with_the_line_it_waits_at() -> None:
    async def wait_for_ever() -> None:
        await asyncio.sleep(3600)

    async def refresh_prices() -> None:
        await wait_for_ever()

    tasks = [asyncio.create_task(refresh_prices()) for _ in range(2)]
    await asyncio.sleep(0)
    groups = describe_tasks(asyncio.get_running_loop())
    for task in tasks:
        task.cancel()

    [group] = [group for group in groups if "refresh_prices" in group.name]
    assert group.count == 2
    assert group.site is not None
    assert (group.site.path, group.site.line) == (HERE, lines_of(wait_for_ever)[1])


@pytest.mark.asyncio
async def test_a_task_that_has_not_started_and_one_around_a_future_have_names() -> None:
    async def not_started() -> None: ...

    task = asyncio.create_task(not_started())
    waiting = asyncio.create_task(asyncio.Event().wait())
    names = [group.name for group in describe_tasks(asyncio.get_running_loop())]
    await task
    waiting.cancel()

    assert any("not_started" in name for name in names)
    assert "Event.wait" in names


@pytest.mark.asyncio
async def test_unfinished_async_generators_are_seen_under_the_runners_own_hooks() -> None:
    async def rows() -> AsyncIterator[int]:
        yield 1
        yield 2

    loop = asyncio.get_running_loop()
    abandoned, finished = rows(), rows()
    assert await anext(abandoned) == 1
    assert [row async for row in finished] == [1, 2]

    [group] = [group for group in describe_async_generators(loop) if "rows" in group.name]
    assert group.count == 1
    assert group.site == Site(path=HERE, line=lines_of(rows)[1], function=rows.__qualname__)
    await abandoned.aclose()
    assert [group for group in describe_async_generators(loop) if "rows" in group.name] == []


# --- the sensor ---


@pytest.mark.asyncio
async def test_each_kind_is_counted_after_each_iteration() -> None:
    sensor = ResourceSensor(30, asyncio.get_running_loop())
    sensor.start()
    opened: list[socket.socket] = []
    tasks: list[asyncio.Task[bool]] = []
    for iteration in range(30):
        opened.append(socket.socket())
        if iteration % 5 == 0:
            tasks.append(asyncio.create_task(asyncio.Event().wait()))
            await asyncio.sleep(0)
        sensor.sample(iteration)
    series = {one.kind: one for one in sensor.finish()}
    for one in opened:
        one.close()
    for task in tasks:
        task.cancel()

    first = series["fd"].counts[0]
    assert list(series["fd"].counts) == list(range(first, first + 30))
    assert series["task"].counts[-1] - series["task"].counts[0] == 5
    assert added(series["fd"], "unconnected socket") == 30
    assert added(series["task"], "Event.wait") == 6
    assert set(series) == {"fd", "thread", "child_process", "task", "async_generator"}


def added(series: ResourceSeries, part: str) -> int:
    return named(series.groups_end, part) - named(series.groups_start, part)


def test_without_a_loop_there_are_no_tasks_to_count() -> None:
    assert {"task", "async_generator"}.isdisjoint(one.kind for one in ResourceSensor(1).finish())


def test_children_are_counted_less_often_and_repeated_in_between() -> None:
    sensor = ResourceSensor(12)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        for iteration in range(12):
            if iteration == 5:
                child.communicate(b"\n")
            sensor.sample(iteration)
    [series] = [one for one in sensor.finish() if one.kind == "child_process"]

    assert list(series.counts) == [series.counts[0]] * 10 + [series.counts[0] - 1] * 2


def test_the_sensor_does_not_grow_with_the_iterations() -> None:
    sensor = ResourceSensor(10_000)
    sensor.start()
    for iteration in range(100):
        sensor.sample(iteration)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for iteration in range(100, 12_000):
            sensor.sample(iteration)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert sensor.taken == 10_000
    assert grown < 1_000  # bytes; the integers of one iteration


def test_a_process_without_descriptors_left_is_still_counted() -> None:
    code = """
import os, resource
from pytest_memleak.judge.resources import judge_resources
from pytest_memleak.sense.watching import ResourceWatch
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
watch = ResourceWatch(iterations=80)
watch.begin()
for iteration in range(80):
    try:
        os.dup(0)
    except OSError:
        pass
    watch.after_iteration(iteration)
watch.settle_threads()
watch.before_shutdown()
[fd] = [count for count in judge_resources(watch.close())[0] if count.kind == "fd"]
assert fd.count_end == 64, fd
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# --- ResourceWarnings ---


def test_resource_warnings_are_counted_by_message_and_line_without_their_objects() -> None:
    warned = WarnedResources()
    for iteration in range(3):
        with warnings.catch_warnings(record=True) as recorded:
            warnings.simplefilter("always")
            open(os.devnull)  # noqa: SIM115
            warnings.warn("not about resources", DeprecationWarning, stacklevel=1)
            warnings.warn_explicit(f"unclosed <feed at {id(recorded):#x}>", ResourceWarning, "feed.py", 7)
        warned.add(iteration, [(one.category, one.message, one.filename, one.lineno) for one in recorded])

    feed, file = sorted(warned.groups(), key=lambda group: group.message.startswith("unclosed file"))
    assert (feed.count, feed.first_iteration, feed.last_iteration) == (3, 0, 2)
    assert (str(feed.site), file.count) == ("feed.py:7", 3)


def test_ever_different_warnings_are_not_kept_without_limit() -> None:
    warned = WarnedResources()
    for number in range(1_000):
        warned.add(0, [(ResourceWarning, "unclosed", f"{chr(256 + number)}.py", 1)])

    assert len(warned.groups()) == 100


# --- settling ---


class Closing:
    """Something whose count falls by one each time somebody waits."""

    def __init__(self, count: int, lowest: int = 0) -> None:
        self.count = count
        self.lowest = lowest
        self.slept_s: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.count = max(self.lowest, self.count - 1)

    def levels(self) -> list[int]:
        return [self.count]


def test_settling_waits_until_the_counts_are_calm() -> None:
    closing = Closing(5)
    settle_threads(closing.levels, [2], closing.sleep)
    assert (closing.count, len(closing.slept_s)) == (2, 3)


def test_settling_takes_no_time_when_nothing_is_open() -> None:
    closing = Closing(2)
    settle_threads(closing.levels, [2], closing.sleep)
    assert closing.slept_s == []


def test_settling_gives_up_when_waiting_does_not_help() -> None:
    closing = Closing(7, lowest=7)
    settle_threads(closing.levels, [0], closing.sleep)
    assert PATIENCE_S <= sum(closing.slept_s) < 3 * PATIENCE_S


def test_settling_is_bounded_while_the_counts_keep_falling() -> None:
    closing = Closing(10_000)
    settle_threads(closing.levels, [0], closing.sleep)
    assert LIMIT_S <= sum(closing.slept_s) < 2 * LIMIT_S


@pytest.mark.asyncio
async def test_settling_lets_the_loop_close_what_it_is_closing() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    before = count_descriptors()
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    assert count_descriptors() > before

    writer.close()  # takes turns of the loop, on both sides
    slept: list[float] = []
    await settle_loop(lambda: [count_descriptors()], [before], slept.append)
    server.close()

    assert count_descriptors() <= before


@pytest.mark.asyncio
async def test_thousands_of_tasks_are_counted_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = ResourceSensor(40, asyncio.get_running_loop())
    sensor.start()
    counted, all_tasks = [], asyncio.all_tasks

    def counting(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[object]]:
        counted.append(loop)
        return all_tasks(loop)

    monkeypatch.setattr(asyncio, "all_tasks", counting)
    tasks = []
    for iteration in range(40):
        tasks += [asyncio.create_task(asyncio.Event().wait()) for _ in range(200)]
        sensor.sample(iteration)
    taken = next(counts for kind, counts in zip(sensor.kinds, sensor.counts(), strict=True) if kind.name == "task")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert list(taken[:10]) == [200 * n + 1 for n in range(1, 11)]
    assert list(taken[10:]) == [2201] * 10 + [4201] * 10 + [6201] * 10
    assert len(counted) == 13
