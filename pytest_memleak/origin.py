"""Whose code a file is: the app's own, a dependency's, Python's, or this plugin's.

Shared by the client tracker (where was it made?) and the explanation (whose line allocates?).
"""

from __future__ import annotations

import functools
import os
import sysconfig
from typing import Literal

Kind = Literal["app", "dependency", "python", "plugin"]

_PLUGIN = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STDLIB = tuple(os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib"))
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


@functools.lru_cache(maxsize=4096)
def kind_of(path: str) -> Kind:
    """Tell whose code the file at `path` is.

    A ``.venv`` inside the project is a dependency, not the app: site-packages decides before
    anything else. ``<string>``, ``<frozen …>`` and other nameless code counts as Python's.
    """
    if path.startswith("<"):
        return "python"
    if path.startswith(_PLUGIN):
        return "plugin"
    if any(part in path for part in _INSTALLED):
        return "dependency"
    return "python" if os.path.realpath(path).startswith(_STDLIB) else "app"


@functools.lru_cache(maxsize=1024)
def package_of(path: str) -> str | None:
    """The top-level package directory or module an installed file belongs to, e.g. ``httpx``."""
    for marker in _INSTALLED:
        if marker in path:
            return path.rpartition(marker)[2].partition(os.sep)[0].removesuffix(".py")
    return None


@functools.lru_cache(maxsize=256)
def version_of(package: str) -> str | None:
    """The installed version of the distribution that provides the top-level `package`."""
    from importlib import metadata

    for distribution in metadata.packages_distributions().get(package, ()):
        return metadata.version(distribution)
    return None


def owner_of(path: str) -> str:
    """A short label for reports: ``app``, ``httpx 0.28.1``, ``Python`` or ``pytest-memleak``."""
    kind = kind_of(path)
    if kind == "app":
        return "app"
    if kind == "plugin":
        return "pytest-memleak"
    if kind == "python":
        return "Python"
    package = package_of(path)
    if package is None:
        return "dependency"
    version = version_of(package)
    return f"{package} {version}" if version else package
