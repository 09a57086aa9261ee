"""A checked test that runs into the memory limit of a container: the kernel's own killer ends its process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

GROUPS = Path("/sys/fs/cgroup")
LIMIT_BYTES = 60_000_000
FIRST_VERSION = (("limit_in_bytes", LIMIT_BYTES), ("memsw.limit_in_bytes", LIMIT_BYTES))  # with swap: no more
SECOND_VERSION = (("max", LIMIT_BYTES), ("swap.max", 0))

TESTS = f"""
import os
import pytest

kept = []


@pytest.mark.memleak(isolate=True)
def test_over_the_limit(memleak):
    if memleak.iteration == 3:
        with open(os.environ["GROUP"] + "/cgroup.procs", "w") as processes:
            processes.write(str(os.getpid()))
    if memleak.iteration >= 3:
        kept.append(bytearray(b"x") * {LIMIT_BYTES // 5})


@pytest.mark.memleak(isolate=True)
def test_in_a_process_after_it():
    pass


def test_after_it():
    pass
"""


class Group:
    """A group of processes with a memory limit, below the limits that this process has."""

    def __init__(self) -> None:
        own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
        if "memory" in own:
            parent, limits, self._events = GROUPS / "memory" / own["memory"][1:], FIRST_VERSION, "oom_control"
        else:  # there, a group that has processes has no groups with limits in it
            beside = GROUPS / own[""][1:]
            parent, limits, self._events = beside if own[""] == "/" else beside.parent, SECOND_VERSION, "events"
        self.path = parent / f"memleak-{os.getpid()}"
        self.path.mkdir()
        try:
            for name, size_bytes in limits:
                limit = self.path / f"memory.{name}"
                if limit.exists() or name == limits[0][0]:  # a kernel that does not count swap has no limit of it
                    limit.write_text(str(size_bytes))
        except OSError:
            self.path.rmdir()
            raise

    def killed(self) -> int:
        """How many processes the kernel has killed at the limit."""
        events = dict(line.split() for line in (self.path / f"memory.{self._events}").read_text().splitlines())
        return int(events["oom_kill"])


@pytest.fixture
def group() -> Iterator[Group]:
    try:
        made = Group()
    except (OSError, KeyError) as error:
        pytest.skip(f"no group of processes with a memory limit can be made here: {error!r}")
    yield made
    made.path.rmdir()


def test_killed_at_the_limit_of_a_group(project, verdicts, group, monkeypatch):
    monkeypatch.setenv("GROUP", str(group.path))
    project.makepyfile(test_limit=TESTS)

    result = project.runpytest_subprocess("--memcheck", "--memcheck-json=record.json")

    result.assert_outcomes(failed=1, passed=2)
    assert group.killed() == 1
    over, after = json.loads(project.path.joinpath("record.json").read_text(encoding="utf-8"))["tests"]
    done = over["iterations"]
    assert verdicts()["test_over_the_limit"] == (
        "ERROR: the process was killed by SIGKILL, as the system does when memory runs out "
        f"(in iteration {done}; the test ran in a process of its own)"
    )
    assert 4 <= done <= 9
    assert len(over["samples"]["rss_bytes"]) == done
    assert over["rss"]["end_bytes"] - over["rss"]["start_bytes"] > (done - 4) * LIMIT_BYTES // 5
    assert (after["verdict"], after["iterations"]) == ("passed", 60)
