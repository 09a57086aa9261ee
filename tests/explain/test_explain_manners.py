"""The explanation is a guest: it calls no code of the app's, keeps nothing alive, restores everything."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import pathlib
import random
import sys
import tracemalloc
import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from pytest_memleak.explain import explain
from pytest_memleak.explain.holders import find_holders
from pytest_memleak.explain.routes import Replay, rank_routes, routes_note
from pytest_memleak.explain.watch import Step, watch
from pytest_memleak.model import Explanation, GrowthFacts

FACTS = GrowthFacts(
    iterations=100, rss_bytes_per_iteration=2_000, rss_growth_bytes=200_000, live_bytes_per_iteration=2_000
)


def explained(work: Callable[[], object], facts: GrowthFacts = FACTS) -> Explanation:
    """Explain a plain function, as a synchronous test is: the steps never suspend."""

    async def step() -> None:
        work()

    coroutine = explain(step, growth=facts, requests=lambda: 0, root=".")
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Explanation = stop.value
        return result
    raise AssertionError("explain suspended by itself")


@pytest.fixture
def module(tmp_path: pathlib.Path) -> Iterator[types.ModuleType]:
    """An empty module of the app's, imported as ``planted_module``; the words that its source has."""
    made = types.ModuleType("planted_module")
    source = tmp_path / "planted_module.py"
    source.write_text(WORDS)
    made.__file__ = str(source)
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


WORDS = "HOLDER = USERS = REGISTRY = RECENT = STATE = SEEN = rows = 'known_word'"


class Jealous(dict):  # type: ignore[type-arg]
    """A mapping that fails the test when anybody asks it anything."""

    def _forbidden(self, *args: object) -> object:
        raise AssertionError("code of the app's was called")

    __len__ = __iter__ = __eq__ = __getattribute__ = __bool__ = __contains__ = _forbidden  # type: ignore[assignment]
    __repr__ = __sizeof__ = __hash__ = __getitem__ = __reversed__ = items = values = _forbidden  # type: ignore[assignment]

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise AssertionError("__class__ was asked for")


def test_calls_no_code_of_the_apps(module: types.ModuleType) -> None:
    module.HOLDER = holder = Jealous()
    numbers = iter(range(10_000))
    facts = dataclasses.replace(FACTS, rss_bytes_per_iteration=100, live_bytes_per_iteration=100)
    explanation = explained(lambda: dict.__setitem__(holder, next(numbers), Jealous()), facts)
    assert explanation.top_holder == "planted_module.HOLDER"
    assert explanation.notes == ()


def test_keeps_nothing_alive(module: types.ModuleType) -> None:
    class Kept:
        pass

    module.HOLDER = holder = []
    explained(lambda: holder.append(Kept()))
    last = weakref.ref(holder[-1])
    holder.clear()
    gc.collect()
    assert last() is None


def test_finds_what_was_frozen(module: types.ModuleType) -> None:
    module.HOLDER = holder = []
    gc.collect()
    gc.freeze()
    try:
        assert explained(lambda: holder.append(bytes(2_000))).top_holder == "planted_module.HOLDER"
    finally:
        gc.unfreeze()


def test_leaves_tracemalloc_and_the_collector_as_they_were() -> None:
    assert not tracemalloc.is_tracing()
    kept: list[bytes] = []
    explained(lambda: kept.append(bytes(100)))
    assert not tracemalloc.is_tracing()
    assert gc.isenabled()


@pytest.mark.parametrize("fails_at", [1, 12, 25, 32, 40, 45])
def test_restores_everything_when_the_iteration_raises(fails_at: int) -> None:
    calls = 0

    def work() -> None:
        nonlocal calls
        calls += 1
        if calls >= fails_at:
            raise ValueError("card 4111-1111")

    explanation = explained(work)
    assert explanation.notes == ("the explanation ended early: the iteration raised ValueError",)
    assert not tracemalloc.is_tracing()
    assert gc.isenabled()


def test_a_skip_in_the_body_passes_through_and_restores_everything() -> None:
    def work() -> None:
        pytest.skip("not today")

    with pytest.raises(pytest.skip.Exception):
        explained(work)
    assert not tracemalloc.is_tracing()
    assert gc.isenabled()


def test_uses_the_tracing_that_the_app_started_and_does_not_stop_it() -> None:
    kept: list[bytes] = []
    tracemalloc.start(1)
    try:
        explanation = explained(lambda: kept.append(bytes(500)))
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    assert any("already running with one frame" in note for note in explanation.notes)
    assert explanation.top_line is not None
    assert "test_explain_manners.py" in explanation.top_line


def test_a_part_that_fails_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError("no roots")

    monkeypatch.setattr("pytest_memleak.explain.explanation.find_holders", broken)
    kept: list[bytes] = []
    explanation = explained(lambda: kept.append(bytes(500)))
    assert "the holder scan failed: LookupError: no roots" in explanation.notes
    assert explanation.top_line is not None


def test_prints_keys_only_when_they_are_words_of_the_code(module: types.ModuleType) -> None:
    module.USERS = users = {"known_word": [], "sk_live" + "_4f9a": []}

    def work() -> None:
        for rows in users.values():
            rows.append(object())

    text = repr(explained(work))
    assert 'planted_module.USERS["known_word"]' in text
    assert "sk_live" not in text.replace(__file__, "")


def test_prints_attributes_only_when_they_are_words_of_the_code(module: types.ModuleType) -> None:
    module.REGISTRY = registry = types.SimpleNamespace()
    setattr(registry, "user_" + "77", [])
    explanation = explained(lambda: vars(registry)["user_" + "77"].append(bytes(2_000)))
    assert explanation.top_holder == "planted_module.REGISTRY[...]"


def line_of(text: str) -> str:
    """Where in this file a line of code stands that contains `text`."""
    with open(__file__, encoding="utf-8") as source:
        return f"{__file__}:{next(n for n, line in enumerate(source, 1) if text in line)}"


def test_a_batch_that_is_given_back_does_not_lead() -> None:
    kept: list[bytes] = []
    batch: list[bytes] = []

    def work() -> None:
        kept.append(bytes(2_000))
        batch.append(bytes(5_000))
        if len(batch) >= 61:
            batch.clear()

    explanation = explained(work)
    assert explanation.top_line is not None
    assert line_of("kept.append(bytes(2_000))").endswith(explanation.top_line)
    assert not any("bytes(5_000)" in row for finding in explanation.findings for row in finding.details)
    assert explanation.cause == "Python objects: 2.0 kB per iteration stay allocated"


def test_blocks_that_are_renewed_are_no_growth() -> None:
    """At first they are old ones, which tracemalloc never saw, and each new one adds to what it traces."""
    library: dict[str, object] = {"randrange": random.Random(1).randrange, "slots": [bytes(1_000) for _ in range(160)]}
    source = "def renew():\n for _ in range(16):\n  slots[randrange(160)] = bytes(1_000)"
    exec(compile(source, "/srv/site-packages/library.py", "exec"), library)
    kept: list[bytes] = []

    def work() -> None:
        kept.append(bytes(2_000))
        library["renew"]()  # type: ignore[operator]

    cause = explained(work).cause
    assert cause is not None
    assert float(cause.removeprefix("Python objects: ").partition(" kB per iteration")[0]) < 4


def test_what_the_tests_client_keeps_is_told_where_nothing_else_grows() -> None:
    """An app that sets a new cookie each time fills the client's jar: Python's memory, and not native."""
    sent = 0

    async def app(scope: dict[str, object], receive: object, send: Callable[[dict[str, object]], Any]) -> None:
        nonlocal sent
        sent += 1
        cookie = (b"set-cookie", b"key%d=value" % sent)
        await send({"type": "http.response.start", "status": 200, "headers": [cookie]})
        await send({"type": "http.response.body", "body": b""})

    async def explain_client() -> Explanation:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t.org") as client:

            async def step() -> None:
                await client.get("/")

            return await explain(step, growth=FACTS, requests=lambda: sent, root=".")

    explanation = asyncio.run(explain_client())
    assert explanation.cause is not None
    assert explanation.cause.startswith("Python objects")


def test_lines_that_keep_more_than_the_growth_are_doubted() -> None:
    import collections

    recent: collections.deque[bytes] = collections.deque((bytes(5_000) for _ in range(1_000)), maxlen=1_000)
    explanation = explained(lambda: recent.append(bytes(5_000)))
    assert any(
        note.startswith("the app's lines keep 5.0 kB per iteration, but memory grew by 2.0 kB")
        for note in explanation.notes
    )


def test_a_bounded_cache_that_is_still_filling_is_said_to_be(module: types.ModuleType) -> None:
    import collections

    module.RECENT = recent = collections.deque(maxlen=5_000)
    explanation = explained(lambda: recent.append(object()))
    assert any("planted_module.RECENT is bounded and still filling" in note for note in explanation.notes)


def test_cycles_are_told_when_the_collector_is_off() -> None:
    class Knot:
        def __init__(self) -> None:
            self.itself = self
            self.weight = [0.0] * 100

    facts = dataclasses.replace(FACTS, rss_bytes_per_iteration=500, live_bytes_per_iteration=500)
    gc.disable()
    try:
        explanation = explained(lambda: Knot(), facts)
        assert not gc.isenabled()
    finally:
        gc.enable()
    cycles = next(finding for finding in explanation.findings if finding.kind == "cyclic_garbage")
    assert any("Knot: 1 objects per iteration" in detail for detail in cycles.details)


def test_uncollectable_objects_are_told() -> None:
    class Knot:
        def __init__(self) -> None:
            self.itself = self

    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        explanation = explained(lambda: Knot())
        assert gc.get_debug() == gc.DEBUG_SAVEALL
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert any(finding.kind == "uncollectable" for finding in explanation.findings)


def test_growing_threads_locals_of_other_threads_are_named(module: types.ModuleType) -> None:
    import queue
    import threading

    module.STATE = state = threading.local()
    jobs: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[int] = queue.SimpleQueue()

    def serve() -> None:
        state.rows = []
        while (job := jobs.get()) is not None:
            state.rows.append([job] * 250)
            done.put(job)

    def work() -> None:
        jobs.put(1)
        done.get()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        explanation = explained(work)
    finally:
        jobs.put(None)
        thread.join()
    assert explanation.top_holder == "planted_module.STATE.rows"


def test_rates_are_per_request_where_requests_are_sent(module: types.ModuleType) -> None:
    module.SEEN = seen = set()
    sent = 0

    async def step() -> None:
        nonlocal sent
        for _ in range(4):
            sent += 1
            seen.add(sent)
            seen.add(-sent)

    async def run() -> float:
        watched = await watch(step, lambda: sent, 10)
        holder = next(found for found in find_holders(watched) if found.name.path == "planted_module.SEEN")
        return holder.grown / watched.requests

    assert asyncio.run(run()) == 2


def test_routes_are_ranked_by_what_they_keep() -> None:
    kept: list[bytes] = []

    async def health() -> None:
        bytes(1_000)

    async def analyze() -> None:
        kept.append(bytes(1_000))

    async def report() -> None:
        kept.append(bytes(200))

    async def step() -> None:
        await analyze()

    routes: Mapping[str, Replay] = {"GET /health": health, "GET /report": report, "POST /analyze": analyze}

    async def record(step: Step) -> Mapping[str, Replay]:
        await step()
        return routes

    explanation = asyncio.run(explain(step, growth=FACTS, requests=lambda: 0, root=".", routes=record))
    assert [entry.route for entry in explanation.routes] == ["POST /analyze", "GET /report", "GET /health"]
    assert explanation.routes[0].bytes_per_request > 1_000
    assert explanation.routes[2].bytes_per_request < 100
    assert any(note.startswith("growth per request by route: POST /analyze 1.0 kB") for note in explanation.notes)


def test_that_no_route_grows_when_it_is_repeated_is_told() -> None:
    async def health() -> None:
        bytes(1_000)

    ranked = asyncio.run(rank_routes({"GET /a": health, "GET /b": health}))
    assert routes_note(ranked).startswith("no route grows by itself (one request of each repeated alone")
