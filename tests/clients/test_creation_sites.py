"""The line that is reported is the one a person has to change."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import httpx
import pytest

import pytest_memleak
from pytest_memleak import origin
from pytest_memleak.drive.iterate import Drive
from pytest_memleak.model import Site
from pytest_memleak.sense.clients import ClientTracker

Import = Callable[[str, str], ModuleType]

MAKE = "import httpx\n\ndef make():\n    return httpx.Client(verify=False)\n"


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Import a module from source that lies under a folder of the test's choice."""

    def load(folder: str, source: str) -> ModuleType:
        path = tmp_path / folder / "memleak_module.py"
        path.parent.mkdir(parents=True)
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        return module

    return load


def only_site(tracker: ClientTracker) -> Site:
    [group] = [group for group in tracker.open_clients() if not group.before_run]
    assert group.site is not None
    return group.site


def test_a_wrapper_in_the_app_is_the_maker(imported: Import, tracker: ClientTracker) -> None:
    module = imported("app", MAKE)

    client = module.make()

    assert only_site(tracker) == Site(path=module.__file__ or "", line=4, function="make")
    del client


def test_a_wrapper_that_is_installed_is_not(imported: Import, tracker: ClientTracker) -> None:
    wrapper = imported("lib/site-packages", MAKE)

    client = wrapper.make()

    assert only_site(tracker).path == __file__
    del client


@pytest.mark.parametrize("by_name", [True, False], ids=["import string", "object"])
def test_an_installed_app_is_the_apps_own_code(imported: Import, tracker: ClientTracker, by_name: bool) -> None:
    module = imported("lib/site-packages", f"{MAKE}\nasync def app(scope, receive, send): pass\n")

    assert Drive("memleak_module:app" if by_name else module.app).app.app is module.app
    client = module.make()

    assert only_site(tracker).path == module.__file__
    assert origin.owner_of(module.__file__ or "") == "app"
    del client


def test_the_installed_packages_of_the_project_are_its_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "lib" / "site-packages"
    (site / "Shop_Desk-1.0.dist-info").mkdir(parents=True)
    (site / "Shop_Desk-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: Shop-Desk\nVersion: 1.0\n")
    files = ("shop/__init__.py", "shop/svc/__init__.py", "shop/svc/db.py", "acme/desk/__init__.py", "desk_cli.py")
    (site / "Shop_Desk-1.0.dist-info" / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop-desk"\n')
    monkeypatch.syspath_prepend(str(site))

    origin.take_for_app(origin.places_of_project(str(tmp_path)))

    assert {origin.kind_of(str(site / file)) for file in files} == {"app"}
    others = ("acme/billing/__init__.py", "shopify/__init__.py", "httpx/_client.py")
    assert {origin.kind_of(str(site / file)) for file in others} == {"dependency"}


@pytest.mark.parametrize("pyproject", [None, "", "[tool.black]", "[project", '[project]\nname = "not-installed-here"'])
def test_a_project_that_is_not_installed_has_no_installed_code(tmp_path: Path, pyproject: str | None) -> None:
    if pyproject is not None:
        (tmp_path / "pyproject.toml").write_text(pyproject)

    assert origin.places_of_project(str(tmp_path)) == ()


def test_a_virtual_environment_inside_the_project_is_not_the_users_code(
    imported: Import, tracker: ClientTracker
) -> None:
    wrapper = imported("project/.venv/lib/python3/site-packages", MAKE)

    client = wrapper.make()

    assert only_site(tracker).path == __file__
    del client


def test_the_constructor_of_a_subclass_is_not_where_it_was_made(tracker: ClientTracker) -> None:
    class Api(httpx.AsyncClient):
        def __init__(self) -> None:
            super().__init__(verify=False)

    line = sys._getframe().f_lineno + 1
    client = Api()

    assert only_site(tracker).line == line
    [group] = [group for group in tracker.open_clients() if not group.before_run]
    assert group.name == "httpx.AsyncClient"
    assert group.type_name.endswith("Api")
    del client


def test_an_installed_app_is_found_before_the_test_that_drives_it(imported: Import, tracker: ClientTracker) -> None:
    app = imported("site-packages", MAKE)
    drive = plugin_function("def drive(app):\n    return app.make()\n", "drive")

    client = drive(app)

    assert only_site(tracker) == Site(path=app.__file__ or "", line=4, function="make")
    del client


def test_a_client_that_the_plugin_made_is_its_own(tracker: ClientTracker) -> None:
    make = plugin_function(MAKE, "make")

    client = make()

    assert [group for group in tracker.open_clients() if not group.before_run] == []
    del client
    assert tracker.dropped_clients() == ()


def test_nameless_code_is_never_a_site(tracker: ClientTracker) -> None:
    namespace: dict[str, object] = {"httpx": httpx}
    line = sys._getframe().f_lineno + 1
    exec("client = httpx.Client(verify=False)", namespace)

    assert (only_site(tracker).path, only_site(tracker).line) == (__file__, line)


def test_a_client_of_the_apps_own_class_is_made_where_it_is_called(imported: Import) -> None:
    from pytest_memleak.sense.probes import ClientProbe

    module = imported("app", "class Feed:\n    open = True\n\ndef make():\n    return Feed()\n")
    probe = ClientProbe(library="app", module=module.__name__, class_names=("Feed",), is_open=lambda feed: feed.open)
    tracker = ClientTracker([probe])
    tracker.install()
    try:
        feed = module.make()
        assert only_site(tracker).line == 5
        del feed
    finally:
        tracker.uninstall()


def plugin_function(source: str, name: str) -> Callable[..., object]:
    """A function whose code lies in the plugin."""
    path = os.path.join(os.path.dirname(pytest_memleak.__file__), "drive", "invented.py")
    namespace: dict[str, Callable[..., object]] = {}
    exec(compile(source, path, "exec"), namespace)
    return namespace[name]
