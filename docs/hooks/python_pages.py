"""The pages of what users call: fixtures, hooks, client libraries and the Python interface."""

from __future__ import annotations

from writing import code, docstring, members, public, table

import pytest_memleak
from pytest_memleak import hookspecs, plugin
from pytest_memleak.api import Memleak
from pytest_memleak.drive.websocket import WebSocket
from pytest_memleak.sense.probes import BUILT_IN

_FIELDS_ONLY = "    options: {members: false}\n"


def fixtures_page() -> str:
    sections = [f"## `{name}`\n\n{docstring(getattr(plugin, name))}\n" for name in plugin.__all__]
    return "\n".join(
        [
            "# Fixtures",
            "",
            *sections,
            "## The object `memleak`",
            "",
            *members("pytest_memleak.api.Memleak", public(Memleak)),
            "## The client of `memleak.websocket`",
            "",
            *members("pytest_memleak.drive.websocket.WebSocket", public(WebSocket)),
        ]
    )


def hooks_page() -> str:
    names = [name for name in vars(hookspecs) if name.startswith("pytest_")]
    return "\n".join(
        [
            "# Hooks",
            "",
            "For a `conftest.py` or a plugin. [Allow what may stay open](../how-to/allow.md) and "
            "[scan an app](../how-to/scan.md) use them.",
            "",
            *(f"::: pytest_memleak.hookspecs.{name}\n" for name in names),
            f"::: pytest_memleak.ClientProbe\n{_FIELDS_ONLY}",
            "::: pytest_memleak.ScanOperation\n",
        ]
    )


def clients_page() -> str:
    rows = [
        (code(probe.library), ", ".join(map(code, probe.class_names)), "a note" if probe.closes_on_collect else "fails")
        for probe in BUILT_IN
    ]
    return "\n".join(
        [
            "# Client libraries",
            "",
            "The classes whose instances are [followed](../explanation/clients.md). `allow_unclosed` takes "
            "`library.Class`, with these names.",
            "",
            *table(("library", "classes", "dropped without close"), rows),
            "",
        ]
    )


def python_page() -> str:
    elsewhere = {"Memleak", "ClientProbe", "ScanOperation"}
    names = [name for name in pytest_memleak.__all__ if name not in elsewhere]
    return "\n".join(
        [
            "# Python",
            "",
            "What `import pytest_memleak` gives. `Memleak` is under [Fixtures](fixtures.md), `ClientProbe` and "
            "`ScanOperation` are under [Hooks](hooks.md).",
            "",
            *(f"::: pytest_memleak.{name}\n{_FIELDS_ONLY if name == 'Request' else ''}" for name in names),
        ]
    )
