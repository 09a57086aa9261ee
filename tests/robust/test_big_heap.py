"""The app's own objects and the collector: out of its sight during a run, and as they were after it."""

from __future__ import annotations

HEAP = 500_000  # lists of one number: 50 MB

SEEN = f"""
import gc
import pytest

seen = []
late = []


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        app.heap = [[n] for n in range({HEAP})]
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b""}})


@pytest.fixture
def memleak_app():
    return app


@pytest.mark.memleak
async def test_sampled(memleak, memleak_client):
    if memleak.iteration == 5:
        late.extend([n] for n in range({HEAP}))
    seen.append(len(gc.get_objects()))
    await memleak_client.get("/")


def test_what_a_collection_walked():
    assert len(seen) == 60
    assert max(seen[:5]) < {HEAP // 20}  # what came at the app's start
    assert max(seen[10:]) < {HEAP // 20}  # and in the warm-up
    assert len(gc.get_objects()) > 2 * {HEAP}  # again in sight
    assert gc.get_freeze_count() <= FROZEN


FROZEN = gc.get_freeze_count()
"""

FROZEN_BY_ITSELF = f"""
import gc
import pytest

kept = []


class Node:
    def __init__(self):
        self.itself = self


class Freezing:
    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            self.heap = [[n] for n in range(30_000)]
            gc.freeze()
            await send({{"type": "lifespan.startup.complete"}})
            await receive()
            await send({{"type": "lifespan.shutdown.complete"}})
            return
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b""}})


@pytest.fixture(scope="module")
def memleak_app():
    return Freezing()


@pytest.fixture
def still_frozen():
    before = gc.get_freeze_count()
    yield
    assert before > {HEAP}
    assert 0.99 * before < gc.get_freeze_count() < 1.01 * before


@pytest.fixture
def as_frozen_as_explaining_leaves_it():
    # Every object has to be looked at for it: what is there afterwards is frozen again.
    before = gc.get_freeze_count()
    yield
    assert gc.get_freeze_count() > 0.99 * before > {HEAP}


@pytest.mark.memleak
def test_cycles_that_are_collected(still_frozen):
    [Node() for _ in range(10)]


@pytest.mark.memleak
def test_cycles_that_are_kept(still_frozen):
    kept.extend(Node() for _ in range(4_000))


@pytest.mark.memleak
def test_bytes_that_are_kept(still_frozen):
    kept.append(bytearray(b"x") * 1_000_000)


@pytest.mark.memleak(explain=True)
def test_explained(as_frozen_as_explaining_leaves_it):
    kept.append(bytearray(b"x") * 1_000_000)


@pytest.mark.memleak
async def test_app_that_freezes_at_its_start(memleak_client):
    await memleak_client.get("/")


def test_frozen_by_that_app():
    assert gc.get_freeze_count() > {HEAP} + 30_000
"""

FREEZING = f"""
import gc

heap = [[n] for n in range({HEAP})]
gc.collect()
gc.freeze()
"""


def test_a_sample_does_not_walk_the_heap(project):
    project.makepyfile(test_seen=SEEN)

    project.runpytest_subprocess("--memcheck").assert_outcomes(passed=2)


def test_heap_that_the_process_has_frozen(project, verdicts):
    project.makeconftest(FREEZING)
    project.makepyfile(test_frozen=FROZEN_BY_ITSELF)

    result = project.runpytest_subprocess("--memcheck")

    result.assert_outcomes(passed=3, failed=3)
    found = verdicts()
    assert {name: said.partition(":")[0] for name, said in found.items()} == {
        "test_cycles_that_are_collected": "PASSED",
        "test_cycles_that_are_kept": "LEAK",
        "test_bytes_that_are_kept": "LEAK",
        "test_explained": "LEAK",
        "test_app_that_freezes_at_its_start": "PASSED",
    }
    assert "test_frozen.kept (list, app) grows by 1 entry" in project.path.joinpath("leak_report.txt").read_text(
        "utf-8"
    )
