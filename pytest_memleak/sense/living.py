"""The tracked clients that are alive, found by weak references."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pytest_memleak.sense.sites import Made


class _Reference(weakref.ref[Any]):
    """A weak reference that knows under which key its client is kept."""

    __slots__ = ("key",)
    key: int


@dataclass(slots=True, kw_only=True, eq=False)
class Client:
    """What is known of one live client.

    Args:
        before_run: whether it was there when the run began.
        reference: set by `LiveClients.add`; None for a class that allows no weak references.
    """

    name: str
    is_open: Callable[[Any], bool]
    closes_on_collect: bool
    made: Made
    iteration: int
    before_run: bool
    reference: _Reference | None = None

    def holds(self, instance: object) -> bool:
        """Whether this is the entry of `instance` and not of a dead client with the same id."""
        referent = None if self.reference is None else self.reference()
        return referent is None or referent is instance

    def is_open_as(self, instance: object) -> bool:
        """Whether `instance` is open; a probe that raises cannot say so."""
        try:
            return bool(self.is_open(instance))
        except Exception:
            return False


class LiveClients:
    """The entries of the live clients by the id of the client."""

    def __init__(self) -> None:
        self._live: dict[int, Client] = {}
        # The collector clears the weak references of a cycle before it runs the finalizers.
        self._dying: dict[int, Client] = {}
        self._expired = self._expire  # one bound method for all references

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, instance: object) -> bool:
        client = self._live.get(id(instance))
        return client is not None and client.holds(instance)

    def add(self, instance: object, client: Client, *, need_reference: bool = False) -> None:
        """Keep `client` for as long as `instance` lives.

        Raises:
            TypeError: when a reference is needed and the class allows none.
        """
        try:
            client.reference = _Reference(instance, self._expired)
            client.reference.key = id(instance)
        except TypeError:  # slots without __weakref__, as asyncpg's pool; its finalizer tells its end
            if need_reference:
                raise
        self._live[id(instance)] = client

    def keep(self, instance: object, client: Client) -> None:
        """Take an entry back whose finalizer kept the instance alive."""
        self._live[id(instance)] = client

    def take(self, instance: object) -> Client | None:
        """Remove the entry of an instance whose finalizer runs, and return it."""
        key = id(instance)
        client = self._live.pop(key, None) or self._dying.pop(key, None)
        return client if client is not None and client.holds(instance) else None

    def forget_the_dead(self) -> None:
        """Let go of what died without running a tracked finalizer."""
        self._dying.clear()

    def pairs(self, kinds: Callable[[], Collection[type]]) -> Iterator[tuple[Client, Any]]:
        """Each entry with its instance.

        Args:
            kinds: the tracked classes; those without weak references are searched for instances,
                among the objects that are not frozen.
        """
        clients = self._live.copy()
        lost = {key for key, client in clients.items() if client.reference is None}
        referrers = gc.get_referrers(*kinds()) if lost else ()
        found = {id(referrer): referrer for referrer in referrers if id(referrer) in lost}
        for key, client in clients.items():
            instance = found.get(key) if client.reference is None else client.reference()
            if instance is not None:
                yield client, instance

    def _expire(self, reference: weakref.ref[Any]) -> None:
        assert isinstance(reference, _Reference)
        client = self._live.pop(reference.key, None)
        if client is not None:
            self._dying[reference.key] = client
