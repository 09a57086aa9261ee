"""ResourceWarnings: what was garbage-collected without being closed, by message and line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_memleak.model import Site, WarningGroup

# (category, message, filename, lineno), as in `warnings.WarningMessage`.
Warned = tuple[type[Warning], object, str, int]
_CHANGING = re.compile(r"0x[0-9a-fA-F]+|\d+")
_MAX_GROUPS = 100
_MAX_MESSAGE = 300


@dataclass(slots=True)
class _Seen:
    message: str
    first: int
    last: int
    count: int = 0


class WarnedResources:
    """Counts equal ResourceWarnings; keeps their text, never the objects they are about."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, int], _Seen] = {}

    def add(self, iteration: int, warned: Iterable[Warned]) -> None:
        """Count the ResourceWarnings among those of one iteration; others are left out."""
        for category, message, filename, line in warned:
            if not issubclass(category, ResourceWarning):
                continue
            text = str(message)[:_MAX_MESSAGE]
            key = (_CHANGING.sub("N", text), filename, line)
            if key not in self._seen and len(self._seen) == _MAX_GROUPS:
                continue
            seen = self._seen.setdefault(key, _Seen(text, iteration, iteration))
            seen.count += 1
            seen.last = iteration

    def groups(self) -> tuple[WarningGroup, ...]:
        """The warnings, the most frequent first."""
        groups = [
            WarningGroup(
                message=seen.message,
                site=Site(path=filename, line=line),
                count=seen.count,
                first_iteration=seen.first,
                last_iteration=seen.last,
            )
            for (_, filename, line), seen in self._seen.items()
        ]
        return tuple(sorted(groups, key=lambda group: -group.count))
