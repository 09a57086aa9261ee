"""Where in the code something was made, from the frames that were running."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import FrameType

from pytest_memleak import origin
from pytest_memleak.model import Site

MAX_FRAMES = 200
_SENSE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Where a client was made, and the tracked library or class that made it for itself, if any."""

    site: Site | None
    owner: str | None


def package_path(cls: type) -> str:
    """The path that all files of the library of `cls` start with.

    A class of the app's own has no library around it: the module would hide the line that made
    the instance, so nothing is skipped ("").
    """
    place = origin.place_of_module(cls.__module__)
    return place if place and origin.kind_of(place) != "app" else ""


def creation_site(
    frame: FrameType | None,
    instance: object,
    library: str,
    owners: Mapping[str, str],
    siblings: Mapping[str, str],
) -> Made | None:
    """Find the line that made `instance`, walking outwards from `frame`.

    It is the first line of the app's own code: not of the client's library, not of Python's, not
    of an installed package, not of a constructor of `instance` itself. The walk ends at the
    plugin, which drives the app: what lies beyond it is the test, not the maker. An app that is
    installed and not known to be under test has no such line; then the nearest frame outside the
    client's library counts.

    Args:
        frame: the caller of the constructor.
        instance: the client.
        library: the path its library's files start with, as `package_path` gives it.
        owners: top-level package to the tracked library of that name; one of these between the
            client and the app is the client's owner.
        siblings: the name to the reported name of the library's other tracked classes; one whose
            method made the client is its owner, such as a pool of connections.

    Returns:
        The site and the owner, or None for a client that the plugin made for itself.
    """
    fallback: Site | None = None
    owner: str | None = None
    for outer in islice(_frames(frame), MAX_FRAMES):
        code = outer.f_code
        path = code.co_filename
        kind = origin.kind_of(path)
        if kind == "plugin":
            if path.startswith(_SENSE):  # a wrapped constructor
                continue
            if fallback is None:
                return None
            break
        if kind == "python" or _constructs(outer, instance):
            continue
        if library and path.startswith(library):
            owner = owner or siblings.get(code.co_qualname.partition(".")[0])
            continue
        if kind == "app":
            return _made(_site(outer), owner)
        fallback = fallback or _site(outer)
        owner = owner or owners.get(origin.package_of(path) or "")
    return _made(fallback, owner)


def caller_site(frame: FrameType | None) -> Site | None:
    """The first frame outside the plugin, from `frame` outwards."""
    while frame is not None and origin.kind_of(frame.f_code.co_filename) == "plugin":
        frame = frame.f_back
    return None if frame is None else _site(frame)


def _site(frame: FrameType) -> Site:
    code = frame.f_code
    return _site_at(code.co_filename, frame.f_lineno, code.co_qualname)


# Equal places are one object: a thousand clients of one line hold one of each.
@functools.lru_cache(maxsize=1024)
def _site_at(path: str, line: int, function: str) -> Site:
    return Site(path=path, line=line, function=function)


@functools.lru_cache(maxsize=1024)
def _made(site: Site | None, owner: str | None) -> Made:
    return Made(site=site, owner=owner)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames from `frame` outwards, across greenlets: SQLAlchemy's async engines connect in one."""
    greenlet = sys.modules.get("greenlet")
    current = None if greenlet is None else greenlet.getcurrent()
    while True:
        while frame is not None:
            yield frame
            frame = frame.f_back
        current = getattr(current, "parent", None)
        if current is None:
            return
        frame = current.gr_frame


def _constructs(frame: FrameType, instance: object) -> bool:
    """Whether `frame` is a constructor of `instance`: a subclass's, calling the library's."""
    code = frame.f_code
    if code.co_name != "__init__" or not code.co_argcount:
        return False
    return frame.f_locals.get(code.co_varnames[0]) is instance
