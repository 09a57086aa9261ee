"""Fabricated series: one value in bytes per iteration, in the shapes that memory really takes."""

from __future__ import annotations

import random
from collections.abc import Callable

from pytest_memleak.judge.decision import Standing, look, looks

BUDGET = 500e6 / 1440
"""500 MB a day in bytes an iteration."""
START = 60e6

Shape = Callable[[int], float]


def series(shape: Shape, length: int = 1440, *, noise_bytes: float = 5_000, seed: int = 1) -> list[float]:
    """`shape` on top of a process of 60 MB, with the noise of live bytes after a collection."""
    chance = random.Random(seed)
    return [START + shape(i) + chance.gauss(0, noise_bytes) for i in range(length)]


def judged(values: list[float], *, first: int = 240, budget: float = BUDGET) -> tuple[str, int]:
    """The outcome of one sensor's series by the looks of a run, and the iteration that decided."""
    standing = Standing()
    for at in looks(first, len(values)):
        last = at == len(values)
        seen = look(values[:at], budget, last=last)
        standing = standing.after(seen.passes)
        if standing.has_passed(last=last):
            return "passed", at
        if last:
            return ("leak" if seen.leaks else "inconclusive"), at
    raise AssertionError("the last look is the length of the series")


def linear(times_budget: float) -> Shape:
    return lambda i: times_budget * BUDGET * i


def filling(times_budget: float, until: int, since: int = 0) -> Shape:
    """A cache that fills and is full."""
    return lambda i: times_budget * BUDGET * (min(max(i, since), until) - since)
