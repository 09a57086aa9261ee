"""Clean and leaking apps whose truth is known: one definition that every tool drives."""

from __future__ import annotations

import re

from benchmarks.scenarios import clean, growing, unclosed
from benchmarks.scenarios.app import App, Scenario

__all__ = ["ALL", "App", "Scenario", "named"]

ALL = (*clean.SCENARIOS, *growing.SCENARIOS, *unclosed.SCENARIOS)
_EXACT = re.compile(r"(keeps|quiet at) (\d+) B under ([\d.]+) B")


def named(name: str) -> Scenario:
    """The scenario of this name; ``keeps 16 B under 8 B``, too: 16 bytes a request, a budget of 8.

    Raises:
        KeyError: when there is none.
    """
    if match := _EXACT.fullmatch(name):
        return growing.exact(int(match[2]), float(match[3]), leaking=match[1] == "keeps")
    return {scenario.name: scenario for scenario in ALL}[name]
