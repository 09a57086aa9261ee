"""How places in the code are shown, and which resources a project allows to stay open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pytest_memleak.model import ClientGroup, DroppedGroup, Finding, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The root directory and the ``allow_unclosed`` patterns of a run."""

    root: str
    allow_unclosed: Sequence[str]

    def show(self, site: Site) -> str:
        """``path:line``, relative to the root directory, with forward slashes."""
        path = site.path
        if self.root and path.startswith(os.path.join(self.root, "")):
            path = os.path.relpath(path, self.root)
        return f"{path.replace(os.sep, '/')}:{site.line}"

    def allow(self, group: ClientGroup | DroppedGroup) -> bool:
        """Whether a pattern names the class of the clients or the line that made them."""
        return self._match(group.name, group.type_name) or self.allow_site(group.site)

    def allow_site(self, site: Site | None) -> bool:
        """Whether a pattern names this line, relative or absolute."""
        return site is not None and self._match(self.show(site), str(site).replace(os.sep, "/"))

    def _match(self, *names: str) -> bool:
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.allow_unclosed)


def finding_at(site: Site | None, *, kind: str, summary: str, details: tuple[str, ...], fails: bool = False) -> Finding:
    """A finding at a place, or at none."""
    path, line = (None, None) if site is None else (site.path, site.line)
    return Finding(kind=kind, summary=summary, details=details, path=path, line=line, fails=fails)
