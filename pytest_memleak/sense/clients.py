"""Which clients are open, which were dropped while open, and the lines that made them.

httpx and requests never warn about an unclosed client, and the others warn where pytest does not
look, so the constructors and finalizers of known client classes are watched instead. Only weak
references are kept. Cost: about 10 microseconds for each client made.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from pytest_memleak.model import ClientGroup, DroppedGroup
from pytest_memleak.sense.classes import ClientClasses, TrackedClass
from pytest_memleak.sense.living import Client, LiveClients
from pytest_memleak.sense.patching import Method, with_parameters_of
from pytest_memleak.sense.probes import BUILT_IN, ClientProbe
from pytest_memleak.sense.sites import Made, caller_site, creation_site

BEFORE_THE_FIRST = -1
_UNKNOWN = Made(site=None, owner=None)


@dataclass(slots=True)
class _Drops:
    count: int = 0
    first: int = BEFORE_THE_FIRST
    last: int = BEFORE_THE_FIRST


class ClientTracker:
    """Follows every instance of the probes' classes from its constructor to its end.

    Set `iteration` before each iteration: what is made or dropped then is counted there.

    Args:
        probes: the client classes; the built-in ones by default, users' own are added to them.
        exclude: clients made before `install` that are not the app's.
    """

    def __init__(self, probes: Sequence[ClientProbe] = BUILT_IN, *, exclude: Iterable[object] = ()) -> None:
        self.iteration = BEFORE_THE_FIRST
        self._owners = {probe.module.partition(".")[0]: probe.library for probe in probes}
        self._classes = ClientClasses(
            probes,
            constructor=self._constructor,
            finalizer=self._finalizer,
            subclass_finalizer=self._subclass_finalizer,
        )
        self._live = LiveClients()
        self._drops: defaultdict[tuple[Any, ...], _Drops] = defaultdict(_Drops)
        self._excluded = [weakref.ref(client) for client in exclude]
        self._installed = False
        self._counts = True

    def install(self) -> None:
        """Start to track; what is alive now counts as open before the run."""
        self._installed = True
        try:
            self._scan(self._classes.patch_imported(), before_run=True)
        except BaseException:
            self.uninstall()
            raise

    def refresh(self) -> None:
        """Take up libraries imported since; call it after every iteration."""
        self._live.forget_the_dead()
        added = self._classes.patch_imported()
        if added:  # made while their library was being imported: the line is unknown
            self._scan(added, before_run=False)

    def uninstall(self) -> None:
        """Put all classes back as they were; what was counted can still be read."""
        self._installed = False
        self._classes.restore()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Meanwhile what is made or dropped does not count."""
        self._counts = False
        try:
            yield
        finally:
            self._counts = True

    def exclude(self, client: object) -> None:
        """Forget a client that is not the app's, such as the one that sends the requests."""
        self._live.take(client)

    def watch(
        self,
        instance: object,
        *,
        is_open: Callable[[Any], bool] | None = None,
        name: str | None = None,
    ) -> None:
        """Track one object of any class.

        Args:
            instance: the object; only a weak reference is kept.
            is_open: says whether it is open. By default its attribute or method `is_closed` or
                `closed` says so; an object that has neither is open as long as it lives.
            name: how reports call it; by default its class with the module.

        Raises:
            TypeError: when `instance` allows no weak references.
        """
        client = Client(
            name=name or _type_name(type(instance)),
            is_open=is_open or _is_open_by_attribute,
            closes_on_collect=False,
            made=Made(site=caller_site(sys._getframe(1)), owner=None),
            iteration=self.iteration,
            before_run=False,
        )
        self._live.add(instance, client, need_reference=True)

    def live_count(self) -> int:
        """How many tracked clients are alive, open or not. Costs nothing."""
        return len(self._live)

    def open_clients(self) -> tuple[ClientGroup, ...]:
        """The open clients by class and line, the most numerous first."""
        births: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
        for client, instance in self._live.pairs(self._classes.families):
            if client.is_open_as(instance):
                key = (client.name, _type_name(type(instance)), client.made, client.before_run)
                births[key].append(client.iteration)
        groups = [
            ClientGroup(
                name=name,
                type_name=type_name,
                site=made.site,
                owner=made.owner,
                before_run=before_run,
                births=tuple(sorted(iterations)),
            )
            for (name, type_name, made, before_run), iterations in births.items()
        ]
        return tuple(sorted(groups, key=lambda group: (-len(group.births), group.name, str(group.site))))

    def dropped_clients(self) -> tuple[DroppedGroup, ...]:
        """What was collected while open, by class and line, the most frequent first."""
        groups = [
            DroppedGroup(
                name=name,
                type_name=type_name,
                site=made.site,
                owner=made.owner,
                closes_on_collect=closes_on_collect,
                count=drops.count,
                first_iteration=drops.first,
                last_iteration=drops.last,
            )
            for (name, type_name, made, closes_on_collect), drops in self._drops.copy().items()
        ]
        return tuple(sorted(groups, key=lambda group: (-group.count, group.name, str(group.site))))

    # --- what the patched methods do ---

    def _constructor(self, original: Method) -> Method:
        def __init__(instance: object, *args: Any, **kwargs: Any) -> None:
            original(instance, *args, **kwargs)
            if self._installed and self._counts:
                self._register(instance, sys._getframe(1))

        return with_parameters_of(original, __init__)

    def _finalizer(self, original: Method) -> Method:
        """Count what is open before the library's own finalizer runs, which may close it."""

        @functools.wraps(original)
        def __del__(instance: object) -> None:
            client = self._live.take(instance)
            if client is not None and client.is_open_as(instance):
                self._count_drop(client, instance)
            original(instance)

        return __del__

    def _subclass_finalizer(self, original: Method) -> Method:
        """Count what is open after a subclass's finalizer, which is there to close it.

        A finalizer may also start a task that closes the client later (openai's does); the task
        then refers to it, and it stays tracked.
        """

        @functools.wraps(original)
        def __del__(instance: object) -> None:
            client = self._live.take(instance)
            references = sys.getrefcount(instance)
            original(instance)
            if client is None or not client.is_open_as(instance):
                return
            if sys.getrefcount(instance) > references:
                self._live.keep(instance, client)
            else:
                self._count_drop(client, instance)

        return __del__

    # --- instances ---

    def _register(self, instance: object, frame: FrameType) -> None:
        if instance in self._live:
            return  # a constructor that ran twice, or a tracked subclass of a tracked class
        kind = type(instance)
        tracked = self._classes.of(kind)
        if tracked is None:
            return
        made = creation_site(frame, instance, tracked.library_path, self._owners, tracked.siblings)
        if made is not None:
            self._add(instance, tracked, made, before_run=False)

    def _add(self, instance: object, tracked: TrackedClass, made: Made, *, before_run: bool) -> None:
        client = Client(
            name=tracked.name,
            is_open=tracked.probe.is_open,
            closes_on_collect=tracked.probe.closes_on_collect,
            made=made,
            iteration=self.iteration,
            before_run=before_run,
        )
        self._live.add(instance, client)
        self._classes.patch_finalizer_of(type(instance))

    def _count_drop(self, client: Client, instance: object) -> None:
        """A count lost to a thread switch is worth less than a lock taken inside a finalizer."""
        if client.before_run or not (self._installed and self._counts):
            return
        key = (client.name, _type_name(type(instance)), client.made, client.closes_on_collect)
        drops = self._drops[key]
        if not drops.count:
            drops.first = self.iteration
        drops.count += 1
        drops.last = self.iteration

    def _scan(self, classes: Sequence[type], *, before_run: bool) -> None:
        """Take up the instances that exist already.

        `gc.get_referrers` of the classes is two to three times faster than going through all
        objects; `type(x) in` and not `isinstance`, which a lazy proxy may answer by importing.
        """
        kinds = self._classes.families(classes)
        excluded = {id(client) for reference in self._excluded if (client := reference()) is not None}
        for instance in gc.get_referrers(*kinds):
            kind = type(instance)
            if kind not in kinds or id(instance) in excluded or instance in self._live:
                continue
            tracked = self._classes.of(kind)
            if tracked is not None:
                self._add(instance, tracked, _UNKNOWN, before_run=before_run)


def _type_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_open_by_attribute(instance: Any) -> bool:
    for attribute in ("is_closed", "closed"):
        closed = getattr(instance, attribute, None)
        if closed is not None:
            return not (closed() if callable(closed) else closed)
    return True
