"""Which of several growing collections is named first, how large its entries are, what may be printed of it."""

from __future__ import annotations

import asyncio
import gc
import pathlib
import queue
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_memleak.explain.filling import filling_note
from pytest_memleak.explain.holder import Holder, holder_finding
from pytest_memleak.explain.holders import find_holders
from pytest_memleak.explain.objects import cycles_finding, growing_types, linked_holder, types_finding
from pytest_memleak.explain.watch import Watched, watch

ITERATIONS = 20


@pytest.fixture
def shop(tmp_path: pathlib.Path) -> Iterator[Any]:
    """A module of the app's; `shop.write(source)` is its text, and is run."""
    made: Any = types.ModuleType("shop")
    path = tmp_path / "shop.py"
    made.__file__ = str(path)

    def write(source: str) -> None:
        path.write_text(source)
        exec(compile(source, path, "exec"), made.__dict__)

    made.write = write
    sys.modules["shop"] = made
    yield made
    del sys.modules["shop"]


def watched(work: Callable[[], object]) -> Watched:
    async def step() -> None:
        work()

    return asyncio.run(watch(step, lambda: 0, ITERATIONS))


def holders(work: Callable[[], object], bytes_per_iteration: float = 0.0, run: int = 0) -> tuple[Holder, ...]:
    """What holds the growth of `work`, after `run` iterations."""
    for _ in range(run):
        work()
    return find_holders(watched(work), bytes_per_iteration, run)


def named(found: tuple[Holder, ...], path: str) -> Holder:
    return next(holder for holder in found if holder.name.path == path)


def per_iteration(holder: Holder) -> float:
    return holder.grown / ITERATIONS


def test_a_trivial_list_of_the_apps_does_not_come_before_what_holds_the_bytes(shop: Any) -> None:
    shop.write("COUNTS = []")
    library: Any = types.ModuleType("wsgiref_like")
    library.__file__ = f"{pathlib.Path(queue.__file__).parent}/wsgiref_like.py"
    library.kept = []
    sys.modules["wsgiref_like"] = library

    def work() -> None:
        library.kept.append(bytes(50_000))
        shop.COUNTS.append(1)

    try:
        found = holders(work, 50_100)
    finally:
        del sys.modules["wsgiref_like"]
    assert [holder.name.path for holder in found[:2]] == ["wsgiref_like[...]", "shop.COUNTS"]
    assert [holder.is_small for holder in found[:2]] == [False, True]


def test_the_apps_own_comes_first_when_it_holds_its_part(shop: Any) -> None:
    shop.write("ROWS, LARGER = [], []")

    def work() -> None:
        shop.ROWS.append(bytes(10_000))

    assert holders(work, 60_000)[0].name.path == "shop.ROWS"


def test_closures_defaults_and_weakref_callbacks_are_part_of_an_entry(shop: Any) -> None:
    shop.write("AUDIT, CLOSURES, DEFAULTS, CALLBACKS = [], [], [], []\nclass Anchor: pass\nANCHOR = Anchor()")

    def work() -> None:
        large, larger = bytes(20_000), bytes(30_000)
        shop.AUDIT.append(f"request {len(shop.AUDIT)} came in")
        shop.CLOSURES.append(lambda: large)
        shop.DEFAULTS.append(lambda kept=bytes(25_000): kept)
        shop.CALLBACKS.append(weakref.ref(shop.ANCHOR, lambda _: larger))

    found = holders(work)
    for path, size in (("CLOSURES", 20_000), ("DEFAULTS", 25_000), ("CALLBACKS", 30_000), ("AUDIT", 70)):
        assert named(found, f"shop.{path}").entry.size_bytes == pytest.approx(size, rel=0.1, abs=500)


def test_the_entries_of_a_bounded_lru_cache_are_what_it_returns(shop: Any) -> None:
    shop.write("import functools\n@functools.lru_cache(maxsize=10_000)\ndef price(n): return bytes(2_000)")
    found = holders(lambda: shop.price(shop.price.cache_info().currsize))
    cache = named(found, "functools.lru_cache of shop.price (maxsize=10000)")
    assert cache.entry_kind == "bytes"
    assert cache.entry.size_bytes == pytest.approx(2_000, rel=0.1)


def test_many_small_buffers_do_not_hide_one_dict(shop: Any) -> None:
    shop.write("LEAK = {}\nBUFFERS = [bytearray() for _ in range(60)]")

    def work() -> None:
        shop.LEAK[len(shop.LEAK)] = bytes(8_000)
        for buffer in shop.BUFFERS:
            buffer.extend(b"abcd")

    found = holders(work)
    assert [holder.name.path for holder in found[:2]] == ["shop.LEAK", "shop.BUFFERS[...]"]
    assert per_iteration(found[1]) == 240


@pytest.mark.parametrize("tenants", [100, 300])
def test_growth_spread_over_many_lists_is_summed(shop: Any, tenants: int) -> None:
    shop.write("class Tenant:\n    def __init__(self): self.rows = []\nTENANTS = {}\nBY_NAME = {}")
    sent = 0

    def work() -> None:
        nonlocal sent
        for _ in range(10):
            sent += 1
            shop.TENANTS.setdefault(f"tenant-{sent % tenants}", shop.Tenant()).rows.append(bytes(300))
            shop.BY_NAME.setdefault(f"tenant-{sent % tenants}", []).append(bytes(300))

    found = holders(work, run=30)
    for path in ("shop.TENANTS[...].rows", "shop.BY_NAME[...]"):
        assert per_iteration(named(found, path)) == 10
        assert named(found, path).entry.size_bytes == pytest.approx(300, abs=60)


def test_of_a_collection_with_a_growing_attribute_the_attribute_is_named(shop: Any) -> None:
    shop.write("""
from collections.abc import Mapping
class Cache(Mapping):
    def __init__(self): self._store, self.audit_log = {}, []
    def __getitem__(self, key): return self._store[key]
    def __iter__(self): return iter(self._store)
    def __len__(self): return len(self._store)
LOGGED, FILLED = Cache(), Cache()
""")

    def work() -> None:
        shop.LOGGED.audit_log.append(bytes(2_000))
        shop.FILLED._store[len(shop.FILLED)] = bytes(2_000)

    assert {holder.name.path for holder in holders(work)} >= {"shop.LOGGED.audit_log", "shop.FILLED"}


def test_a_variable_that_is_called_like_a_tool_is_named(shop: Any) -> None:
    shop.write("""
def make():
    coverage = []
    def add(): coverage.append(bytes(2_000))
    return add
work = make()
""")
    assert holders(shop.work)[0].name.path == "coverage in shop.make.<locals>.add"


def test_a_bound_is_told_as_what_it_is(shop: Any) -> None:
    shop.write("""
import collections, queue
class Claims(dict):
    maxsize = 0
    def __init__(self, maxsize): self.maxsize = maxsize
CLAIMS, JOBS, RECENT = Claims(1_000), queue.Queue(1_000), collections.deque(maxlen=1_000)
""")

    def work() -> None:
        shop.CLAIMS[len(shop.CLAIMS)] = bytes(500)
        shop.JOBS.put(bytes(500))
        shop.RECENT.append(bytes(500))

    found = holders(work)
    notes = {}
    for holder in found:
        assert holder.limit is not None
        notes[holder.name.path] = filling_note(holder.name.path, holder.length, holder.limit, per_iteration(holder))
    assert notes == {
        "shop.CLAIMS": "shop.CLAIMS has a maxsize of 1,000: it stops growing after about 980 more iterations if its "
        "code heeds that. It has 20 of 1,000 entries now.",
        "shop.JOBS": "shop.JOBS is filled faster than it is emptied: 20 of 1,000 entries. put() waits when it is "
        "full, after about 980 more iterations.",
        "shop.RECENT": "shop.RECENT is bounded and still filling: 20 of 1,000 entries. It stops growing by itself "
        "after about 980 more iterations; measure longer, or fill it before the test.",
    }


def test_a_batch_that_is_emptied_now_and_then_does_not_lead(shop: Any) -> None:
    shop.write("KEPT, BATCH = [], []")

    def work() -> None:
        shop.KEPT.append(bytes(2_000))
        shop.BATCH.append(bytes(9_000))
        if len(shop.BATCH) >= 47:
            shop.BATCH.clear()

    found = holders(work, 2_000, run=2 * 47 + 10)
    assert [holder.name.path for holder in found] == ["shop.KEPT", "shop.BATCH"]


@pytest.mark.parametrize(
    ("source", "path", "rate"),
    [
        ("D = {}\ndef work():\n    global D\n    D = {**D, len(D): bytes(2_000)}", "shop.D", 1),
        ("S = set()\ndef work():\n    global S\n    S = S | {len(S)}", "shop.S", 1),
        ("N = 1\ndef work():\n    global N\n    N <<= 16_000", "shop.N", 2_000),
        ("class S: rows = []\ndef work(): S.rows = S.rows + [bytes(2_000)]", "shop.S.rows", 1),
        ("class S: log = ''\ns = S()\ndef work(): s.log += 'x' * 2_000", "shop.s.log", 2_000),
        ("class S: __slots__ = ('log',)\ns = S()\ns.log = ''\ndef work(): s.log += 'x' * 2_000", "shop.s.log", 2_000),
        ("STATE = {'log': b''}\ndef work(): STATE['log'] += b'x' * 2_000", 'shop.STATE["log"]', 2_000),
    ],
)
def test_what_grows_by_rebinding_is_named(shop: Any, source: str, path: str, rate: float) -> None:
    shop.write(source)
    found = holders(shop.work, run=1)
    assert found[0].name.path == path
    assert per_iteration(found[0]) == rate


def test_an_array_that_is_made_longer_is_named(shop: Any) -> None:
    pytest.importorskip("numpy")
    shop.write("""
import numpy
class Series: values = numpy.zeros(0)
def work(): Series.values = numpy.concatenate([Series.values, numpy.ones(400)])
""")
    found = holders(shop.work)
    assert (found[0].name.path, per_iteration(found[0])) == ("shop.Series.values", 3_200)


@pytest.mark.parametrize("link", ["(HEAD, bytes(2_000))", "{'next': HEAD, 'data': bytes(2_000)}", "[HEAD, b'']"])
def test_linked_tuples_dicts_and_lists_are_found(shop: Any, link: str) -> None:
    shop.write(f"HEAD = None\ndef work():\n    global HEAD\n    HEAD = {link}")
    shop.work()
    shop.work()
    seen = watched(shop.work)
    assert find_holders(seen) == ()
    linked = linked_holder(growing_types(seen), seen)
    assert linked is not None
    assert (linked[0].path, linked[2]) == ("shop.HEAD", ITERATIONS)


def test_names_made_at_run_time_are_not_printed(shop: Any) -> None:
    shop.write("""
class Base: registry = {}
def make(user):
    rows = []
    def handler(): rows.append(bytes(2_000))
    handler.__qualname__ = f"handler_for_{user}"
    return handler
handler = make("hunter2")
def work():
    handler()
    Base.registry[len(Base.registry)] = type("tenant_hunter2", (Base,), {})()
""")
    seen = watched(shop.work)
    found = find_holders(seen)
    assert {holder.name.path for holder in found} >= {"rows in shop.make.<locals>.handler", "shop.Base.registry"}
    assert named(found, "shop.Base.registry").entry_kind == "a class made from shop.Base"
    finding = types_finding(growing_types(seen), seen)
    assert "hunter2" not in repr((found, finding))


def test_a_decorated_function_keeps_the_name_it_is_known_by(shop: Any) -> None:
    shop.write("""
import functools
def remembers(function):
    seen = []
    @functools.wraps(function)
    def around(): seen.append(bytes(2_000))
    return around
@remembers
def work(): pass
""")
    assert holders(shop.work)[0].name.path == "seen in shop.work"


def test_constants_of_test_modules_are_data(shop: Any, tmp_path: pathlib.Path) -> None:
    shop.write("STORE = {}\ndef add(token): STORE.setdefault(token, []).append(bytes(2_000))")
    source = tmp_path / "test_shop.py"
    source.write_text("import shop\ndef work(): shop.add('tok_5f3a')")
    test = types.ModuleType("test_shop")
    test.__file__ = str(source)
    exec(compile(source.read_text(), source, "exec"), test.__dict__)
    sys.modules["test_shop"] = test
    try:
        found = holders(test.work, run=1)
    finally:
        del sys.modules["test_shop"]
    assert found[0].name.path == "shop.STORE[...]"


def test_the_census_itself_is_not_growth(shop: Any) -> None:
    shop.write("\n".join(f"NAME_{number} = ()" for number in range(100)))
    assert growing_types(watched(lambda: None)) == ()


def test_what_is_on_the_stack_of_a_coroutine_is_named_by_its_variable(shop: Any) -> None:
    shop.write("""
import asyncio
class Handler:
    def __init__(self): self.log = []
async def worker(jobs):
    h = Handler()
    while True: h.log.append(await jobs.get())
""")

    async def run() -> tuple[Holder, ...]:
        jobs: asyncio.Queue[bytes] = asyncio.Queue()
        task = asyncio.create_task(shop.worker(jobs))
        await asyncio.sleep(0)

        async def step() -> None:
            await jobs.put(bytes(2_000))
            await asyncio.sleep(0)

        found = find_holders(await watch(step, lambda: 0, ITERATIONS))
        task.cancel()
        return found

    assert asyncio.run(run())[0].name.path == "h.log, local of shop.worker"


def test_free_lists_are_no_cycles(shop: Any) -> None:
    shop.write("""
class Knot:
    def __init__(self): self.itself = self
def work():
    Knot()
    [{} for _ in range(1_000)], [(number,) for number in range(1_000)], [float(number) for number in range(1_000)]
""")
    gc.disable()
    try:
        seen = watched(shop.work)
    finally:
        gc.enable()
    assert seen.cycle_bytes <= 4 * 96
    finding = cycles_finding(seen)
    assert finding is not None
    assert "shop.Knot: 1 objects per iteration" in finding.details


def test_a_weak_collection_never_leads_and_weak_keys_keep_their_values(shop: Any) -> None:
    shop.write(
        "import weakref\n"
        "class Key: pass\n"
        "SEEN, VALUES, ROOTS = weakref.WeakSet(), weakref.WeakKeyDictionary(), {}\n"
        "def note(keep):\n"
        "    key = Key()\n"
        "    SEEN.add(key)\n"
        "    if keep: ROOTS[id(key)] = key\n"
        "    else: VALUES[key] = [key]\n"
    )
    found = holders(lambda: shop.note(keep=True))
    assert not named(found, "shop.SEEN").may_lead
    assert named(found, "shop.ROOTS").may_lead

    values = named(holders(lambda: shop.note(keep=False)), "shop.VALUES")
    assert values.may_lead
    assert "its values are kept: one that refers to its key keeps the entry for ever" in details(values)


def details(holder: Holder) -> tuple[str, ...]:
    return holder_finding(holder, watched(lambda: None)).details
