"""Native allocations: memory that C code took and did not give back, recorded by memray.

Runs only when the growth is not Python's: a few iterations inside ``memray.Tracker`` with native
stacks; what is left of them, as often as there were iterations (or a multiple), is the leak.
"""

from __future__ import annotations

import gc
import importlib.machinery
import itertools
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pytest_memleak.explain import wording
from pytest_memleak.explain.lines import inside_door
from pytest_memleak.explain.reach import is_tool
from pytest_memleak.explain.static import module_file
from pytest_memleak.explain.watch import Step
from pytest_memleak.model import Finding, Site
from pytest_memleak.origin import kind_of, owner_of, package_of

NATIVE_ITERATIONS = 10
_ROWS = 3
_FRAMES = 40
_SHOWN = 12
_EXTENSIONS = tuple(importlib.machinery.EXTENSION_SUFFIXES)
_ALLOCATORS = frozenset(("malloc", "realloc", "calloc", "posix_memalign", "aligned_alloc", "memalign",
                         "valloc", "pvalloc", "operator new", "mmap"))  # fmt: skip

Frame = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeLeak:
    """Memory kept by native code, for one stack.

    Args:
        bytes_per_iteration: what it keeps.
        blocks_per_iteration: in how many allocations.
        stack: function, file and line, the innermost frame first, out to the app's door.
        site: the app's line on the stack, else the innermost Python line.
        function: the innermost native function that is not an allocator.
        owner: the dependency whose C code it is; None where the stack does not tell.
    """

    bytes_per_iteration: float
    blocks_per_iteration: float
    stack: tuple[Frame, ...]
    site: Site | None
    function: str
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """What memray saw, or why it saw nothing."""

    leaks: tuple[NativeLeak, ...] = ()
    note: str | None = None


async def native_leaks(step: Step) -> Native:
    """Record some iterations with memray.

    Args:
        step: runs one iteration.

    Returns:
        The leaking stacks, the largest first; a note where memray is missing or busy.
    """
    try:
        import memray
    except ImportError:
        return Native(note="native stacks are unknown: memray is not installed (Linux and macOS only)")
    if sys.getprofile() is not None:
        return Native(note="native stacks are unknown: a profiler is running, and memray needs its hook")
    await step()
    gc.collect()
    with tempfile.TemporaryDirectory(prefix="memleak-") as folder:
        recording = os.path.join(folder, "recording.bin")
        try:
            tracker = memray.Tracker(recording, native_traces=True, trace_python_allocators=True)
            with tracker:
                for _ in range(NATIVE_ITERATIONS):
                    await step()
                gc.collect()
        except RuntimeError as error:  # another Tracker is active
            return Native(note=f"native stacks are unknown: {error}")
        with memray.FileReader(recording) as reader:
            records = list(reader.get_leaked_allocation_records(merge_threads=True))
            python = {int(kind) for kind in memray.AllocatorType if kind.name.startswith("PYMALLOC")}
            leaks = _by_site(_leak(record) for record in _repeated(records, python))
    leaks.sort(key=lambda leak: (-leak.bytes_per_iteration, leak.stack))
    return Native(leaks=tuple(leaks[:_ROWS]), note=None if leaks else _NOTHING)


_NO_SYMBOLS = "native code without symbols"
_NOTHING = (
    "memray saw no native allocation that every iteration leaves behind: the memory may be an "
    "allocator's own, or taken with brk or mmap by code that was already running"
)


def _repeated(records: Iterable[Any], python: set[int]) -> list[Any]:
    """What every iteration leaves behind, without Python's own allocator.

    The last iteration may still hold what the next one frees, so one is allowed to be missing.
    """
    return [
        record for record in records if record.allocator not in python and record.n_allocations >= NATIVE_ITERATIONS - 1
    ]


def _leak(record: Any) -> NativeLeak:
    frames: list[Frame] = record.hybrid_stack_trace(_FRAMES)
    frames = frames[: inside_door([path for _, path, _ in frames])]
    stack = [frame for frame in frames if not _is_of_the_run(frame[1]) and not _is_interpreter(frame[1])]
    stack = [frame for frame in stack if frame[0] != "<unknown>"]
    native = (name for name, path, _ in stack if not path.endswith(".py"))
    function = next((name for name in native if name.partition("(")[0] not in _ALLOCATORS), _NO_SYMBOLS)
    lines = [(path, line) for _, path, line in stack if path.endswith(".py")]
    app = next((place for place in lines if kind_of(place[0]) == "app"), None)
    place = app or next(iter(lines), None)
    return NativeLeak(
        bytes_per_iteration=record.size / NATIVE_ITERATIONS,
        blocks_per_iteration=record.n_allocations / NATIVE_ITERATIONS,
        stack=tuple(stack[:_SHOWN]),
        site=Site(path=place[0], line=place[1]) if place else None,
        function=function,
        owner=_owner(stack),
    )


def _owner(stack: Iterable[Frame]) -> str | None:
    """The dependency whose C code the innermost native frames are, with its version.

    Debug symbols name the source by its place in the project, such as ``src/greenlet/greenlet.cpp``: of a loaded
    extension module's package one folder or file has the name.
    """
    loaded = {
        name.partition(".")[0]: path
        for name in tuple(sys.modules)
        if (path := module_file(name) or "").endswith(_EXTENSIONS) and kind_of(path) == "dependency"
    }
    for _, path, _ in itertools.takewhile(lambda frame: not frame[1].endswith(".py"), stack):
        parts = (os.path.splitext(part)[0] for part in path.split("/"))
        place = next((loaded[part] for part in parts if part in loaded), path)
        if kind_of(place) == "dependency":
            return owner_of(place)
    return None


def _by_site(leaks: Iterable[NativeLeak]) -> list[NativeLeak]:
    """One row per Python line: the inner stacks of a library differ, the line to look at does not."""
    rows: dict[Site | None, NativeLeak] = {}
    for leak in sorted(leaks, key=lambda leak: (-leak.bytes_per_iteration, leak.stack)):
        first = rows.setdefault(leak.site, leak)
        if first is not leak:
            rows[leak.site] = replace(
                first,
                bytes_per_iteration=first.bytes_per_iteration + leak.bytes_per_iteration,
                blocks_per_iteration=first.blocks_per_iteration + leak.blocks_per_iteration,
            )
    return list(rows.values())


def _is_of_the_run(path: str) -> bool:
    """The frames of this plugin, of pytest and its other plugins, which lie around any test."""
    return kind_of(path) == "plugin" or is_tool(package_of(path) or "")


def _is_interpreter(path: str) -> bool:
    """The C frames of CPython's own loop, which lie between any two frames of interest."""
    folder = os.path.basename(os.path.dirname(path))
    return path.endswith((".c", ".h")) and folder in ("Objects", "Python", "Include", "internal", "cpython")


def native_finding(leak: NativeLeak, root: str) -> Finding:
    """One row of the report."""
    where = f", called from {wording.place(leak.site.path, root)}:{leak.site.line}" if leak.site else ""
    shown = (f"  {name} {wording.short(path, root)}:{line}" for name, path, line in leak.stack)
    return Finding(
        kind="native_allocation",
        summary=(
            f"{leak.function}{where} keeps {wording.size(leak.bytes_per_iteration)} of native memory in "
            f"{wording.counted(leak.blocks_per_iteration, 'allocation')} per iteration"
        ),
        details=("stack, innermost first:", *shown),
        path=leak.site.path if leak.site else None,
        line=leak.site.line if leak.site else None,
        owner=leak.owner,
    )
