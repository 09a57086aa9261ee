"""The tracker is a guest: it sees every client of any shape and leaves every class as it was."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import types
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest

from pytest_memleak.sense.clients import ClientTracker
from pytest_memleak.sense.patching import with_parameters_of
from pytest_memleak.sense.probes import BUILT_IN, ClientProbe

MODULE = "memleak_library"
SOURCE = """
class Client:
    def __init__(self, fail=False):
        if fail:
            raise ValueError("cannot connect")
        self.open = True

    def close(self):
        self.open = False


class WithFinalizer(Client):
    def __del__(self):
        self.close()


class Slotted:
    __slots__ = ("open",)

    def __init__(self):
        self.open = True


class OnlyNew:
    def __new__(cls, url):
        self = super().__new__(cls)
        self.url = url
        self.open = True
        return self


class Raises(Client):
    @property
    def is_open(self):
        raise RuntimeError("no event loop")


class SubClient(Client):
    def __init__(self):
        super().__init__()
        super().__init__()
"""


@pytest.fixture
def library(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client library that is installed in site-packages."""
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    path = tmp_path / "site-packages" / f"{MODULE}.py"
    path.parent.mkdir()
    path.write_text(SOURCE)
    yield load_library()
    sys.modules.pop(MODULE, None)


def load_library() -> Any:
    __import__(MODULE)
    return sys.modules[MODULE]


def probe(*names: str, **more: Any) -> ClientProbe:
    is_open = more.pop("is_open", lambda client: client.open)
    return ClientProbe(library=MODULE, module=MODULE, class_names=names, is_open=is_open, **more)


@pytest.fixture
def track() -> Iterator[Any]:
    """Install trackers that are uninstalled at the end of the test."""
    trackers: list[ClientTracker] = []

    def install(*probes: ClientProbe, **arguments: Any) -> ClientTracker:
        tracker = ClientTracker(probes, **arguments)
        trackers.append(tracker)
        tracker.install()
        return tracker

    yield install
    for tracker in trackers:
        tracker.uninstall()


def open_names(tracker: ClientTracker) -> list[str]:
    return sorted(group.name for group in tracker.open_clients() for _ in group.births)


def dropped(tracker: ClientTracker) -> dict[str, int]:
    return {group.name: group.count for group in tracker.dropped_clients()}


# --- restore ---


def test_every_class_is_put_back_exactly(tracker: ClientTracker) -> None:
    class Own(httpx.AsyncClient):
        def __del__(self) -> None:
            pass

    tracker.uninstall()
    classes = [cls for probe in BUILT_IN for _, cls in probe.classes()]
    assert classes, "the real libraries are imported"
    classes += [sub for cls in classes for sub in cls.__subclasses__()] + [Own]
    before = [(cls, list(cls.__dict__.items())) for cls in classes]

    tracker = ClientTracker()
    tracker.install()
    Own(verify=False)
    changed = [cls for cls, items in before if list(cls.__dict__.items()) != items]
    tracker.uninstall()

    assert {httpx.Client, httpx.AsyncClient, Own} <= set(changed)
    assert [cls for cls, items in before if list(cls.__dict__.items()) != items] == []


def test_an_inherited_constructor_and_finalizer_stay_inherited(library: Any, track: Any) -> None:
    tracker = track(probe("WithFinalizer"))
    assert "__init__" in vars(library.WithFinalizer)

    tracker.uninstall()

    assert "__init__" not in vars(library.WithFinalizer)
    assert "__del__" in vars(library.WithFinalizer)
    assert "__del__" not in vars(library.Client)


def test_what_somebody_else_patched_on_top_is_left_alone(library: Any, track: Any) -> None:
    tracker = track(probe("Client"))
    ours = library.Client.__init__

    def instrumented(self: Any, *args: Any) -> None:
        ours(self, *args)

    library.Client.__init__ = instrumented
    tracker.uninstall()

    assert library.Client.__init__ is instrumented
    assert library.Client().open
    assert open_names(tracker) == []


def test_the_signature_of_a_constructor_stays_readable(tracker: ClientTracker) -> None:
    import inspect

    assert "base_url" in inspect.signature(httpx.AsyncClient).parameters


# --- what is tracked ---


def test_a_dead_client_is_forgotten(library: Any, track: Any) -> None:
    tracker = track(probe("Client"))
    clients = [library.Client() for _ in range(100)]
    assert tracker.live_count() == 100

    for client in clients:
        client.close()
    clients.clear()
    del client

    assert tracker.live_count() == 0
    assert dropped(tracker) == {}


def test_only_weak_references_are_kept(library: Any, track: Any) -> None:
    tracker = track(probe("Client"))
    reference = weakref.ref(library.Client())

    assert reference() is None
    assert dropped(tracker) == {f"{MODULE}.Client": 1}


def test_a_client_dropped_in_a_reference_cycle_is_counted_with_its_line(library: Any, track: Any) -> None:
    tracker = track(probe("Client"))
    client = library.Client()
    client.itself = client
    del client
    gc.collect()

    [group] = tracker.dropped_clients()
    assert (group.count, group.site and group.site.path) == (1, __file__)
    tracker.refresh()
    assert tracker.live_count() == 0


def test_a_constructor_that_fails_registers_nothing(library: Any, track: Any) -> None:
    tracker = track(probe("Client"))

    with pytest.raises(ValueError, match="cannot connect"):
        library.Client(fail=True)

    gc.collect()
    assert (tracker.live_count(), dropped(tracker)) == (0, {})


def test_a_constructor_that_runs_twice_registers_once(library: Any, track: Any) -> None:
    tracker = track(probe("Client", "SubClient"))

    client = library.SubClient()

    assert open_names(tracker) == [f"{MODULE}.SubClient"]
    del client


def test_a_class_without_weak_references_is_tracked(library: Any, track: Any) -> None:
    tracker = track(probe("Slotted"))
    client = library.Slotted()

    assert open_names(tracker) == [f"{MODULE}.Slotted"]
    client.open = False
    assert open_names(tracker) == []
    client.open = True
    del client

    assert (tracker.live_count(), dropped(tracker)) == (0, {f"{MODULE}.Slotted": 1})


def test_a_frozen_client_without_weak_references_is_left_out_until_it_is_unfrozen(library: Any, track: Any) -> None:
    tracker = track(probe("Slotted"))
    client = library.Slotted()
    gc.freeze()
    try:
        assert open_names(tracker) == []
    finally:
        gc.unfreeze()
    assert open_names(tracker) == [f"{MODULE}.Slotted"]
    del client


def test_a_class_whose_new_takes_the_arguments_works_as_before(library: Any, track: Any) -> None:
    tracker = track(probe("OnlyNew"))

    client = library.OnlyNew("http://127.0.0.1")

    assert client.url == "http://127.0.0.1"
    assert open_names(tracker) == [f"{MODULE}.OnlyNew"]


def test_a_finalizer_of_a_subclass_that_closes_is_no_drop(library: Any, track: Any) -> None:
    tracker = track(probe("Client"))

    library.WithFinalizer()

    assert dropped(tracker) == {}


def test_a_probe_that_raises_says_not_open(library: Any, track: Any) -> None:
    tracker = track(probe("Raises", is_open=lambda client: client.is_open))

    client = library.Raises()
    assert tracker.live_count() == 1
    assert open_names(tracker) == []
    del client

    assert dropped(tracker) == {}


def test_copies_and_pickles_are_not_mistaken_for_clients(library: Any, track: Any) -> None:
    tracker = track(probe("Client"))
    client = library.Client()

    copied = copy.copy(client)
    unpickled = pickle.loads(pickle.dumps(client))
    assert vars(copied) == vars(unpickled) == {"open": True}
    del copied, unpickled

    assert (open_names(tracker), dropped(tracker)) == ([f"{MODULE}.Client"], {})


def test_clients_made_in_threads_are_all_seen(library: Any, track: Any) -> None:
    tracker = track(probe("Client"))
    clients: list[Any] = []
    threads = [threading.Thread(target=lambda: clients.extend(library.Client() for _ in range(200))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    [group] = tracker.open_clients()
    assert len(group.births) == 1600


def test_the_iteration_of_each_birth_and_drop_is_known(library: Any, track: Any) -> None:
    tracker = track(probe("Client"))
    kept = []
    for iteration in (0, 1, 2):
        tracker.iteration = iteration
        kept.append(library.Client())
        if iteration:
            library.Client()

    [group] = tracker.open_clients()
    [drops] = tracker.dropped_clients()
    assert group.births == (0, 1, 2)
    assert (drops.count, drops.first_iteration, drops.last_iteration) == (2, 1, 2)


def test_a_lazy_proxy_is_never_asked_for_its_class(library: Any, track: Any) -> None:
    class Proxy:
        @property
        def __class__(self) -> type:  # type: ignore[override]
            raise RuntimeError("outside of a request")

        target = library.Client

    proxy = Proxy()
    proxy.__dict__["target"] = library.Client  # refers to the class

    tracker = track(probe("Client"))

    assert open_names(tracker) == []


def test_a_class_written_in_c_is_left_out(track: Any) -> None:
    tracker = track(
        ClientProbe(library="c", module="_io", class_names=("FileIO",), is_open=lambda file: not file.closed)
    )
    with open(os.devnull, "rb", buffering=0):
        assert open_names(tracker) == []


def test_a_forked_child_uses_the_clients_as_before() -> None:
    code = """
import os, httpx
from pytest_memleak.sense.clients import ClientTracker
tracker = ClientTracker()
tracker.install()
client = httpx.Client()
child = os.fork()
if child == 0:
    client.close()
    httpx.Client().close()
    os._exit(len(tracker.open_clients()))
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert len(tracker.open_clients()) == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# --- late imports, the past, exclusions ---


def test_a_library_imported_late_is_tracked_from_the_next_boundary_on(library: Any, track: Any) -> None:
    del sys.modules[MODULE]
    tracker = track(probe("Client"))
    late = load_library()
    made_while_importing = late.Client()

    tracker.refresh()
    made_after = late.Client()

    sites = [(group.before_run, group.site is None) for group in tracker.open_clients()]
    assert sorted(sites) == [(False, False), (False, True)]
    del made_while_importing, made_after


def test_a_lazily_loaded_module_is_not_loaded(monkeypatch: pytest.MonkeyPatch, track: Any) -> None:
    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"loaded by {name}")

    monkeypatch.setitem(sys.modules, "memleak_lazy", Lazy("memleak_lazy"))
    lazy = ClientProbe(library="lazy", module="memleak_lazy", class_names=("Client",), is_open=bool)

    assert open_names(track(lazy)) == []


def test_a_probe_of_a_library_that_is_not_imported_imports_nothing(track: Any) -> None:
    absent = ClientProbe(library="absent", module="wsgiref.headers", class_names=("Headers",), is_open=bool)
    sys.modules.pop("wsgiref.headers", None)

    track(absent).refresh()

    assert "wsgiref.headers" not in sys.modules


def test_a_module_that_is_an_alias_counts_once(library: Any, track: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "memleak_alias", library)
    alias = ClientProbe(
        library="alias", module="memleak_alias", class_names=("Client",), is_open=lambda client: client.open
    )
    tracker = track(probe("Client"), alias)

    client = library.Client()

    assert open_names(tracker) == [f"{MODULE}.Client"]
    del client


def test_a_client_from_before_is_marked_and_its_drop_is_not_counted(library: Any, track: Any) -> None:
    earlier = library.Client()
    tracker = track(probe("Client"))

    [group] = tracker.open_clients()
    assert group.before_run
    del earlier

    assert (open_names(tracker), dropped(tracker)) == ([], {})


def test_an_excluded_client_is_never_reported(library: Any, track: Any) -> None:
    before, during = library.Client(), None
    tracker = track(probe("Client"), exclude=[before])
    during = library.Client()
    tracker.exclude(during)

    assert open_names(tracker) == []
    del before, during
    assert dropped(tracker) == {}


# --- libraries with finalizers of their own ---


@pytest.mark.asyncio
async def test_a_dropped_aiohttp_session_is_counted_though_its_warning_keeps_it(
    tracker: ClientTracker,
) -> None:
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        session = aiohttp.ClientSession()
        connector = session.connector
        del session
        gc.collect()
        assert [str(warning.message)[:8] for warning in recorded] == ["Unclosed"]

    assert dropped(tracker) == {"aiohttp.ClientSession": 1}
    assert connector is not None
    await connector.close()


@pytest.mark.asyncio
async def test_openais_client_that_closes_itself_in_a_task_is_no_drop(tracker: ClientTracker) -> None:
    openai = pytest.importorskip("openai")
    tracker.refresh()
    client = openai.AsyncOpenAI(api_key="none")
    assert len(open_names(tracker)) == 1

    del client
    gc.collect()
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)
    gc.collect()

    assert (open_names(tracker), dropped(tracker)) == ([], {})


def test_openais_client_dropped_where_no_loop_runs_is_a_drop(tracker: ClientTracker) -> None:
    openai = pytest.importorskip("openai")
    tracker.refresh()

    openai.AsyncOpenAI(api_key="none")
    gc.collect()

    assert list(dropped(tracker).values()) == [1]


@pytest.mark.parametrize(("kind", "closes"), [("requests.Session", True), ("httpx.Client", False)])
def test_whether_a_drop_is_a_note_is_the_probes_to_say(
    kind: str, closes: bool, tracker: ClientTracker, http_url: str
) -> None:
    module, _, name = kind.partition(".")
    make = getattr(pytest.importorskip(module), name)
    tracker.refresh()

    client = make()
    client.get(http_url)
    del client

    [group] = tracker.dropped_clients()
    assert (group.name, group.closes_on_collect) == (kind, closes)


# --- watch ---


def test_any_object_can_be_watched(track: Any) -> None:
    class Feed:
        closed = False

    tracker = track()
    by_attribute, by_predicate, by_life = Feed(), threading.Event(), threading.Event()
    tracker.watch(by_attribute)
    tracker.watch(by_predicate, is_open=lambda event: event.is_set(), name="feed")
    tracker.watch(by_life, name="by life")
    assert len(open_names(tracker)) == 2

    by_attribute.closed = True
    by_predicate.set()
    del by_life

    [group] = tracker.open_clients()
    assert (group.name, group.site and group.site.path) == ("feed", __file__)


def test_an_object_without_weak_references_cannot_be_watched(track: Any) -> None:
    with pytest.raises(TypeError, match="weak reference"):
        track().watch(object())


def test_constructor_is_given_what_a_library_reads_from_its_code(tracker: ClientTracker) -> None:
    import sqlalchemy

    tracker.refresh()
    # SQLAlchemy asks the code of Engine.__init__ whether there is an `echo`.
    engine = sqlalchemy.create_engine("sqlite://", echo=False, hide_parameters=True)
    assert engine.hide_parameters
    engine.connect().close()
    assert open_names(tracker) == ["sqlalchemy.Engine"]
    engine.dispose()


def test_parameters_of_every_kind_reach_the_original() -> None:
    def original(self: Any, a: int, /, b: int, c: int = 3, *rest: int, d: int, e: int = 5, **more: int) -> Any:
        return self, a, b, c, rest, d, e, more

    def only(self: Any, *, d: int = 4) -> Any:
        return self, d

    def plain(self: Any) -> Any:
        return (self,)

    for function, calls in (
        (original, [((1, 2, 3), {"d": 9}), ((1, 2), {"b": 7, "d": 1, "z": 2}), ((0, 1, 2, 3, 4, 5), {"d": 1, "e": 2})]),
        (only, [((1,), {}), ((1,), {"d": 2})]),
        (plain, [((1,), {})]),
    ):
        made = with_parameters_of(function, function)
        code, expected = made.__code__, function.__code__
        count = expected.co_argcount + expected.co_kwonlyargcount
        assert code.co_varnames[:count] == expected.co_varnames[:count]
        assert code.co_flags & 12 == expected.co_flags & 12  # *args and **kwargs
        for args, kwargs in calls:
            assert made(*args, **kwargs) == function(*args, **kwargs)
