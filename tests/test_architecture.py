"""The import rules and sizes that keep the pipeline recognisable, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_memleak

PACKAGE = Path(pytest_memleak.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))
}
STAGES = ("simtime", "drive", "sense", "judge", "explain", "report")
PURE = ("judge", "report", "model", "units", "settings", "verdict")
SHARED = ("model", "units", "settings", "origin", "reasons", "verdict")
"""What every stage may import."""
FREE_OF_IO = {"pytest", "httpx", "psutil", "asyncio", "tracemalloc", "memray", "time_machine"}
IMPORTERS = {
    "httpx": ("drive",),
    "psutil": ("sense", "session"),  # session names the sensors of this machine
    "memray": ("explain.native",),
}
"""Who may import a library, as far as a rule says so."""
HEAVY = {"httpx", "psutil", "memray", "tabulate", "time_machine", "jinja2", "pygal", "asyncio"}
AT_EVERY_START = ("__init__", "plugin", "options", "outputs", "fixtures", "settings", "units", "model")
"""Imported in every pytest run of every project that has the plugin installed."""
LONGEST_MODULE, LONGEST_FUNCTION = 320, 55


def inside(name: str) -> str:
    """A module's name without the package: ``judge.growth``."""
    return name.removeprefix("pytest_memleak").removeprefix(".").removesuffix(".__init__") or "__init__"


def belongs(name: str, owners: tuple[str, ...]) -> bool:
    return any(name == owner or name.startswith(f"{owner}.") for owner in owners)


def imports(tree: ast.AST, module: str, *, typing_too: bool = False, at_import: bool = False) -> Iterator[str]:
    """The full names of what is imported.

    Those for type checking only when asked for; those in functions unless `at_import`.
    """
    package = module.rpartition(".")[0]  # of a package, too: its module is called `__init__`
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            origin = ".".join([*parents[: len(parents) + 1 - node.level], node.module or ""]).strip(".")
            yield from (f"{origin if node.level else node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not typing_too:
            continue
        elif not (at_import and isinstance(node, FUNCTIONS)):
            yield from imports(node, module, typing_too=typing_too, at_import=at_import)


def libraries(module: str, *, typing_too: bool = False, at_import: bool = False) -> set[str]:
    """The top-level packages that a module imports."""
    names = imports(TREES[module], module, typing_too=typing_too, at_import=at_import)
    return {name.partition(".")[0] for name in names}


def own_imports(module: str) -> list[str]:
    names = imports(TREES[module], module, typing_too=True)
    return [inside(name) for name in names if belongs(name, ("pytest_memleak",))]


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def test_pure_modules_touch_no_process():
    pure = [module for module in MODULES if belongs(inside(module), PURE)]

    assert {module: found for module in pure if (found := libraries(module) & FREE_OF_IO)} == {}


def test_stages_know_no_pytest():
    stages = [module for module in MODULES if belongs(inside(module), STAGES)]

    assert [module for module in stages if "pytest" in libraries(module, typing_too=True)] == []


def test_stages_do_not_import_each_other():
    crossing = {}
    for module in MODULES:
        stage = inside(module).partition(".")[0]
        if stage in STAGES:
            crossing[module] = [name for name in own_imports(module) if not belongs(name, (stage, *SHARED))]

    assert {module: names for module, names in crossing.items() if names} == {}


def test_shared_ground_imports_shared_ground_only():
    shared = [module for module in MODULES if inside(module) in SHARED]

    assert [(module, name) for module in shared for name in own_imports(module) if not belongs(name, SHARED)] == []


@pytest.mark.parametrize("library", IMPORTERS)
def test_library_has_its_place(library):
    importing = [inside(module) for module in MODULES if library in libraries(module)]

    assert [name for name in importing if not belongs(name, IMPORTERS[library])] == []


def test_memray_is_imported_in_a_function():
    # It exists on Linux and macOS only.
    assert [module for module in MODULES if "memray" in libraries(module, at_import=True)] == []


def test_client_tracking_imports_no_client_library():
    clients = {"httpx", "aiohttp", "requests", "urllib3", "redis", "sqlalchemy", "asyncpg", "boto3", "pymongo"}
    tracking = [module for module in MODULES if inside(module) in ("sense.probes", "sense.clients")]

    assert [module for module in tracking if libraries(module, typing_too=True) & clients] == []


def test_start_of_every_session_is_light():
    starting = [module for module in MODULES if inside(module) in AT_EVERY_START]

    assert {module: found for module in starting if (found := libraries(module, at_import=True) & HEAVY)} == {}


def test_nothing_imports_the_plugin():
    assert [module for module in MODULES if any(belongs(name, ("plugin",)) for name in own_imports(module))] == []


def test_no_private_pytest():
    private = [
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == "_pytest")
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("_pytest."))
    ]

    assert private == []
    assert [module for module in MODULES if "_pytest" in libraries(module, typing_too=True)] == []


def test_modules_are_short():
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}

    assert {module: length for module, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_functions_are_short():
    lengths = {
        f"{module}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
    }

    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_names_say_what_things_are():
    classes = [node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]

    assert [module for module in MODULES if "utils" in module] == []
    assert [name for name in classes if name.endswith(("Manager", "Helper", "Handler"))] == []


def test_public_names():
    assert pytest_memleak.__all__ == sorted(pytest_memleak.__all__)
    for name in pytest_memleak.__all__:
        assert getattr(pytest_memleak, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        pytest_memleak.nothing  # noqa: B018
