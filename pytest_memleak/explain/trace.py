"""``trace=True``: tracemalloc through the whole run, sampled every iteration, compared at the end."""

from __future__ import annotations

import gc
import tracemalloc

from pytest_memleak.explain.allocations import ROWS, by_line, growth_of
from pytest_memleak.explain.lines import Line, line_finding, rank
from pytest_memleak.model import Finding, Site


class TraceRecorder:
    """Traced memory of a run: a number per iteration, and the lines that grew from start to end.

    Args:
        root: the directory that the places in the findings are relative to.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._started = False
        self._samples = 0
        self._first: dict[tuple[str, int], tuple[int, int]] = {}

    def start(self) -> None:
        """Start tracing (unless somebody else already did) and take the first snapshot."""
        if not tracemalloc.is_tracing():
            tracemalloc.start(1)
            self._started = True
        self.mark()

    def mark(self) -> None:
        """Take the first snapshot again, e.g. when the warm-up is over."""
        gc.collect()
        self._first = by_line()
        self._samples = 0

    def sample(self) -> int:
        """Traced bytes now. Call it once per iteration."""
        self._samples += 1
        return tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0

    def finish(self) -> tuple[Finding, ...]:
        """Take the last snapshot, stop, and say which lines grew, the app's first."""
        findings: tuple[Finding, ...] = ()
        if tracemalloc.is_tracing() and self._samples:
            gc.collect()
            grown = growth_of(self._first, by_line(), self._samples)
            rows = rank([
                Line(site=Site(path=path, line=line), bytes_per_iteration=size, blocks_per_iteration=blocks)
                for (path, line), (size, blocks) in grown.items()
                if size >= 1
            ])  # fmt: skip
            total = sum(size for size, _ in grown.values())
            findings = tuple(line_finding(row, total, self._root, "iteration of the whole run") for row in rows[:ROWS])
        self.stop()
        return findings

    def stop(self) -> None:
        """Stop tracing if `start` started it. Safe to call twice."""
        if self._started:
            self._started = False
            tracemalloc.stop()
        self._first = {}
