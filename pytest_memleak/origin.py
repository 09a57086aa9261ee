"""Whose code a file is: the app's own, a dependency's, Python's, or this plugin's.

Shared by the client tracker (where was it made?) and the explanation (whose line allocates?).
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Iterable
from typing import Literal

Kind = Literal["app", "dependency", "python", "plugin"]

_PLUGIN = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STDLIB = tuple(os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib"))
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_tested: set[str] = set()
"""Where the paths of installed code begin that is under test here."""


@functools.lru_cache(maxsize=4096)
def kind_of(path: str) -> Kind:
    """Tell whose code the file at `path` is.

    A ``.venv`` inside the project is a dependency, not the app: site-packages decides before
    anything else but `take_for_app`. ``<string>``, ``<frozen …>`` and other nameless code counts as
    Python's.
    """
    if path.startswith("<"):
        return "python"
    if path.startswith(_PLUGIN):
        return "plugin"
    if any(part in path for part in _INSTALLED):
        return "app" if path.startswith(tuple(_tested)) else "dependency"
    return "python" if os.path.realpath(path).startswith(_STDLIB) else "app"


def take_for_app(places: Iterable[str]) -> None:
    """Count installed code as the app's from now on: CI often installs what it tests.

    Args:
        places: what the paths of its files begin with, from `place_of_module` or `places_of_project`.
    """
    if new := set(places) - _tested:
        _tested.update(new)
        kind_of.cache_clear()


def place_of_module(name: str) -> str | None:
    """What the paths of all files of an imported module's outermost package begin with.

    A namespace package is shared by several projects and has no file: the package inside it counts.
    """
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = getattr(sys.modules.get(".".join(parts[:end])), "__file__", None)
        if path:
            return os.path.dirname(path) + os.sep if os.path.basename(path).startswith("__init__.") else str(path)
    return None


@functools.lru_cache(maxsize=8)
def places_of_project(root: str) -> tuple[str, ...]:
    """What the paths of the installed files of the project in `root` begin with.

    Returns:
        The places of its packages and modules; none where the project has no pyproject.toml with its
        name, or is not installed.
    """
    import tomllib
    from importlib import metadata

    try:
        with open(os.path.join(root, "pyproject.toml"), "rb") as written:
            configured = tomllib.load(written)
        name = (configured.get("project") or configured["tool"]["poetry"])["name"]
        distribution = metadata.distribution(name)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, metadata.PackageNotFoundError):
        return ()
    files = [file for file in distribution.files or () if file.suffix == ".py" and ".." not in file.parts]
    packages = {file.parent for file in files if file.name == "__init__.py"}
    places = set()
    for file in files:
        outermost = [folder for folder in file.parents if folder in packages][-1:]
        found = str(distribution.locate_file(outermost[0] if outermost else file))
        places.add(os.path.join(found, "") if outermost else found)
    return tuple(sorted(places))


@functools.lru_cache(maxsize=1024)
def package_of(path: str) -> str | None:
    """The top-level package directory or module an installed file belongs to, e.g. ``httpx``."""
    for marker in _INSTALLED:
        if marker in path:
            return path.rpartition(marker)[2].partition(os.sep)[0].partition(".")[0]
    return None


@functools.lru_cache(maxsize=256)
def version_of(package: str) -> str | None:
    """The installed version of the distribution that provides the top-level `package`."""
    from importlib import metadata

    try:
        return metadata.version(package)  # nearly always it is called like the package
    except metadata.PackageNotFoundError:
        # metadata.packages_distributions() makes a path of each file of all that is installed: a second or more.
        own = (f"\n{package}/", f"\n{package}.")
        for distribution in metadata.distributions():
            if any(start in f"\n{distribution.read_text('RECORD')}" for start in own):
                return distribution.version
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


def relative_path(path: str, root: str) -> str:
    """`path` as reports show it: relative to `root` with forward slashes; absolute outside of it."""
    inside = root and path.startswith(os.path.join(root, ""))
    return (os.path.relpath(path, root) if inside else path).replace(os.sep, "/")
