"""The fixtures: memleak, memleak_app, memleak_client."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import httpx

    from pytest_memleak.api import Memleak
    from pytest_memleak.drive.iterate import Drive

DRIVE: pytest.StashKey[Drive] = pytest.StashKey()
"""What the test drives; made in setup for a test that uses these fixtures or is checked."""


def make_root_importable(config: pytest.Config) -> None:
    """Let import strings resolve in the root directory, also when pytest was not started as `python -m pytest`."""
    root = str(config.rootpath)
    if root not in sys.path:
        sys.path.insert(0, root)
        config.add_cleanup(lambda: sys.path.remove(root) if root in sys.path else None)


@pytest.fixture
def memleak_app(request: pytest.FixtureRequest) -> object:
    """The ASGI app to test: override it to return the app, a factory or an import string.

    By default the configuration value ``memleak_app``.
    """
    return request.config.getini("memleak_app") or None


@pytest.fixture
def memleak_client(request: pytest.FixtureRequest, memleak_app: object) -> httpx.AsyncClient:
    """An httpx.AsyncClient on the app of memleak_app, in this process; exceptions of the app raise into the test."""
    from pytest_memleak.drive.app import DriveError

    if not inspect.iscoroutinefunction(getattr(request.function, "__func__", request.function)):
        pytest.fail(
            f"{request.node.nodeid}: memleak_client is an httpx.AsyncClient; make the test `async def` and await it",
            pytrace=False,
        )
    drive = _drive_on(memleak_app, request)
    try:
        return drive.client
    except DriveError as error:
        raise pytest.fail.Exception(f"{request.node.nodeid}: {error}", pytrace=False) from None


@pytest.fixture
def memleak(request: pytest.FixtureRequest, memleak_app: object) -> Memleak:
    """The run: iteration, clock.now, clock.advance(s), client, app, send(mix, count=, concurrency=)."""
    from pytest_memleak.api import Memleak

    return Memleak(_drive_on(memleak_app, request))


def _drive_on(app: object, request: pytest.FixtureRequest) -> Drive:
    """What drives the test, told its app."""
    drive: Drive = request.node.stash[DRIVE]
    drive.app_source = app
    if isinstance(app, str):
        make_root_importable(request.config)
    return drive
