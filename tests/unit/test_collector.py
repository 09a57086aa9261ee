"""The collection before each sample."""

from __future__ import annotations

import gc
import sys
import time

import pytest

from pytest_memleak.sense.collector import FrozenHeap


class Knot:
    """A cycle whose finalizer does what a signal does that falls into it."""

    def __init__(self, error: BaseException) -> None:
        self.itself, self.error = self, error

    def __del__(self) -> None:
        raise self.error


def test_an_interrupt_that_falls_into_a_finalizer_is_not_lost():
    hook = sys.unraisablehook
    Knot(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        FrozenHeap(time.perf_counter).collect()
    assert sys.unraisablehook is hook


def test_the_failure_of_a_finalizer_is_told_as_ever(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_value))
    gc.collect()
    told.clear()
    Knot(ValueError("the app's own"))
    FrozenHeap(time.perf_counter).collect()
    assert [str(error) for error in told] == ["the app's own"]
