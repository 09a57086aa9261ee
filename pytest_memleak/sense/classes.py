"""The client classes of the libraries imported so far, and their patched methods."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_memleak.sense.patching import ClassPatch, Method
from pytest_memleak.sense.probes import ClientProbe
from pytest_memleak.sense.sites import package_path

Wrap = Callable[[Method], Method]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedClass:
    """One tracked class.

    Args:
        name: how reports call it.
        library_path: what the paths of its library's files start with.
        siblings: the library's other tracked classes, name to reported name.
    """

    name: str
    probe: ClientProbe
    library_path: str
    siblings: Mapping[str, str]


class ClientClasses:
    """Finds the probes' classes in the imported modules and wraps their constructors and finalizers.

    Args:
        probes: the client classes to look for.
        constructor: wraps ``__init__``.
        finalizer: wraps ``__del__`` of a tracked class.
        subclass_finalizer: wraps ``__del__`` of a subclass that has one of its own.
    """

    def __init__(
        self, probes: Sequence[ClientProbe], *, constructor: Wrap, finalizer: Wrap, subclass_finalizer: Wrap
    ) -> None:
        self._probes = tuple(probes)
        self._pending = list(probes)
        self._pending_modules = {probe.module for probe in probes}
        self._constructor = constructor
        self._finalizer = finalizer
        self._subclass_finalizer = subclass_finalizer
        self._classes: dict[type, TrackedClass] = {}
        self._patches: list[ClassPatch] = []
        self._finalizers: set[object] = set()

    def patch_imported(self) -> list[type]:
        """Patch the classes whose modules are imported by now; the new ones are returned."""
        added: list[type] = []
        if sys.modules.keys().isdisjoint(self._pending_modules):
            return added
        for probe in self._pending.copy():
            if probe.module not in sys.modules:
                continue
            found = list(probe.classes())
            for class_name, cls in found:
                if cls not in self._classes and self._patch(cls, class_name, probe):
                    added.append(cls)
            if len(found) == len(probe.class_names):
                self._pending.remove(probe)
        self._pending_modules = {probe.module for probe in self._pending}
        return added

    def patch_finalizer_of(self, kind: type) -> None:
        """Patch the finalizer of a subclass too: it may never call the one of its base."""
        if getattr(kind, "__del__", None) in self._finalizers:
            return
        for cls in kind.__mro__:
            if "__del__" in cls.__dict__:
                self._patches.append(ClassPatch(cls, "__del__", self._subclass_finalizer))
                self._finalizers.add(cls.__dict__["__del__"])
                return

    def restore(self) -> None:
        """Put every method back, in the reverse order."""
        while self._patches:
            self._patches.pop().undo()
        self._finalizers.clear()

    def of(self, kind: type) -> TrackedClass | None:
        """The tracked class that `kind` is or inherits from, the nearest first."""
        for cls in kind.__mro__:
            tracked = self._classes.get(cls)
            if tracked is not None:
                return tracked
        return None

    def families(self, classes: Iterable[type] | None = None) -> set[type]:
        """The given classes, by default all tracked ones, with all their subclasses."""
        family: set[type] = set()
        pending = list(self._classes if classes is None else classes)
        while pending:
            cls = pending.pop()
            if cls not in family:
                family.add(cls)
                pending.extend(type.__subclasses__(cls))
        return family

    def _patch(self, cls: type, class_name: str, probe: ClientProbe) -> bool:
        try:
            self._patches.append(ClassPatch(cls, "__init__", self._constructor))
            self._patches.append(ClassPatch(cls, "__del__", self._finalizer))
        except TypeError:  # a class written in C cannot be changed
            return False
        self._finalizers.add(cls.__dict__["__del__"])
        self._classes[cls] = TrackedClass(
            name=f"{probe.library}.{class_name}",
            probe=probe,
            library_path=package_path(cls),
            siblings={
                name: f"{probe.library}.{name}"
                for other in self._probes
                if other.library == probe.library
                for name in other.class_names
                if name != class_name
            },
        )
        return True
