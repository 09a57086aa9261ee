"""A leak that is a dependency's: the text of an issue for its project, without anything of the app's. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_memleak.units import format_bytes

_NO_DEPENDENCY = {None, "app", "Python", "pytest-memleak", "dependency"}
_INSTALLED = re.compile(r".*(?:site|dist)-packages/")
_FRAME = re.compile(r"^ {2}(.+):(\d+)$")
_MOST_FRAMES = 8
_DRIVER = "httpx/_transports/asgi.py"
"""From here on outwards it is the check that calls."""

Entry = Mapping[str, Any]


def at_fault(entry: Entry) -> str | None:
    """The dependency that a leak belongs to, with its version, such as ``aiohttp 3.10.10``.

    Who holds the memory decides; where nobody was found, whose C code took it, or, of Python's objects, whose line.

    Args:
        entry: of one test in the record.
    """
    if entry["verdict"] != "leak":
        return None
    is_python = (entry["cause"] or "").startswith("Python objects")
    for kind in ("holder", "native_allocation", "allocation" if is_python else ""):
        for finding in entry["findings"]:
            if finding["kind"] == kind:
                owner: str | None = finding.get("owner")
                return None if owner in _NO_DEPENDENCY else owner
    return None


def issue_text(entry: Entry, record: Mapping[str, Any]) -> str | None:
    """The text of an issue in Markdown, its title first; None when no dependency is at fault.

    Paths, names and requests of the app are left out: frames of the app say that they are.

    Args:
        entry: of one test.
        record: of the session, for the versions.
    """
    package = at_fault(entry)
    if package is None:
        return None
    holders = [f for f in entry["findings"] if f["kind"] == "holder" and f.get("owner") == package]
    frames = list(_frames(entry, package.partition(" ")[0]))
    versions = [package, f"pytest-memleak {record['tool']['version']}", record["environment"]["python"]]
    lines = [
        f"Memory leak in {package}: {_rate(entry)}",
        "",
        f"{package} keeps memory for ever under steady traffic: {_rate(entry)}, measured over {entry['iterations']:,} "
        f"iterations{_requests(entry)}, each after a full garbage collection.",
        *(f"- {finding['summary']}" for finding in holders[:2]),
        "",
        f"Versions: {', '.join(versions)} on {record['environment']['platform']}.",
    ]
    if frames:
        lines += ["", "What is kept is allocated here, innermost first:", "```", *frames, "```"]
    lines += [
        "",
        "To reproduce (`pip install pytest-memleak`):",
        "```python",
        "from pytest_memleak import check",
        "",
        "",
        "def step():",
        f"    ...  # the call into {package.partition(' ')[0]} that the outermost frame above makes",
        "",
        "",
        'check(step, max_growth="1kB/iteration", duration="5h").raise_for_leak()',
        "```",
    ]
    return "\n".join(lines)


def _rate(entry: Entry) -> str:
    growth = entry["growth"][entry["growth"]["sensor"]] if entry["growth"]["sensor"] else None
    if growth is None:
        return "memory grows"
    per_request = growth["bytes_per_request"]
    if per_request is not None:
        return f"grows by {format_bytes(per_request)} a request"
    return f"grows by {format_bytes(growth['bytes_per_iteration'])} an iteration"


def _requests(entry: Entry) -> str:
    return f" of {entry['requests'] / entry['iterations']:,.0f} requests" if entry["requests"] else ""


def _frames(entry: Entry, package: str) -> Iterator[str]:
    """The stack of the first allocation that passes through the package, as far as it is not the app's."""
    for finding in entry["findings"]:
        if finding["kind"] == "native_allocation" and (finding.get("owner") or "").partition(" ")[0] == package:
            native = [detail.strip() for detail in finding["details"][1:]]
            own = [i for i, frame in enumerate(native) if package in re.split(r"[ /.]", frame)]
            yield from native[: own[-1] + 1 if own else 1]
            return
        if finding["kind"] != "allocation":
            continue
        found = [_FRAME.match(detail) for detail in finding["details"]]
        stack = [(match[1], match[2]) for match in found if match]
        shown = [_frame(path, line) for path, line in stack]
        outermost = next((i for i, frame in enumerate(shown) if frame.startswith(_DRIVER)), len(shown))
        shown = shown[:outermost]
        if any(frame.startswith((f"{package}/", f"{package}.py")) for frame in shown):
            previous = ""
            for frame in shown[:_MOST_FRAMES]:
                if frame != previous:
                    yield frame
                previous = frame
            return


def _frame(path: str, line: str) -> str:
    if _INSTALLED.match(path):
        return f"{_INSTALLED.sub('', path)}:{line}"
    stdlib = re.search(r"(?:^|/)lib/(python3\.\d+/.+)", path)
    return f"{stdlib[1]}:{line}" if stdlib else "(the application)"
