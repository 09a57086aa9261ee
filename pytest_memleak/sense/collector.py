"""The garbage collector, made cheap enough to run before every sample."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator

_INTERPRETERS_OWN = 1_000
"""Python 3.12 freezes a few hundred objects of its own at its start."""

_REFREEZE_AT = 3.0
"""Full collections that the partial ones may cost before the heap is frozen anew."""


@contextlib.contextmanager
def thawed() -> Iterator[None]:
    """Meanwhile no object is out of the collector's sight; a heap that the process itself froze is frozen again."""
    frozen = gc.get_freeze_count() > _INTERPRETERS_OWN
    gc.unfreeze()
    try:
        yield
    finally:
        if frozen:
            gc.freeze()


def collect_interruptibly() -> int:
    """`gc.collect`, out of which a signal gets through; the number of objects found.

    Finalizers and the callbacks of weak references run meanwhile. When the handler of a signal raises in one of them
    (Ctrl-C, pytest-timeout), Python prints that and goes on as if nothing had been said.
    """
    hook, lost = sys.unraisablehook, []

    def keep(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, BaseException) and not isinstance(unraisable.exc_value, Exception):
            lost.append(unraisable.exc_value)
        else:
            hook(unraisable)

    sys.unraisablehook = keep
    try:
        found = gc.collect()
    finally:
        sys.unraisablehook = hook
    if lost:
        raise lost.pop()
    return found


class FrozenHeap:
    """Collects before each sample without walking what was there before.

    `gc.freeze` before the first iteration and after the warm-up takes all objects out of the collector's
    sight, so that a full collection only walks what came since: 1.00x of a bare iteration instead of 5.3x.
    A leak of a thousand objects an iteration makes even that slow, so the heap is frozen anew when the
    partial collections have cost more than that.

    Args:
        timer: a clock of real seconds.
    """

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._frozen = False
        self.found_while_off = 0
        self._full_s = self._partial_s = 0.0

    def collect(self) -> None:
        """Collect the garbage made since the last call; cycles awaiting collection are no leak.

        Where the collector is off they would stay; the test's own client makes cycles too, so they are only counted,
        in `found_while_off`.
        """
        began = self._timer()
        found = collect_interruptibly()
        if not gc.isenabled():
            self.found_while_off += found
        self._partial_s += self._timer() - began
        if self._frozen and self._partial_s > _REFREEZE_AT * self._full_s:
            self.freeze()

    def freeze(self) -> None:
        """Take what is alive now out of sight of the collector; garbage that was frozen alive goes first.

        Where the process froze a heap of its own before, `restore` could not tell the two apart: then
        nothing is frozen, and the samples cost more.
        """
        self.restore()
        began = self._timer()
        collect_interruptibly()
        if gc.get_freeze_count() < _INTERPRETERS_OWN:
            gc.freeze()
            self._frozen = True
        self._full_s, self._partial_s = self._timer() - began, 0.0

    def freeze_more(self) -> None:
        """Take what came since the last freeze out of sight too, without walking what is frozen already."""
        self.collect()
        if self._frozen:
            gc.freeze()
        self._partial_s, self.found_while_off = 0.0, 0

    def restore(self) -> None:
        """Give everything back to the collector; a second call does nothing."""
        if self._frozen:
            self._frozen = False
            gc.unfreeze()
