"""A small project with a raw ASGI app, checked in a pytest of its own."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest

APP = '''
"""A raw ASGI app: one path for each thing that an app can do to memory."""

import logging
import mmap
import sys
import warnings

log = logging.getLogger(__name__)
events = []
served = 0
kept = []


def act(path):
    global served
    served += 1
    if path == "/heap":
        kept.append(bytearray(200_000))
    elif path == "/small":
        kept.append([bytes(100) for _ in range(2_000)])
    elif path == "/map":
        block = mmap.mmap(-1, 400_000)
        block[:] = b"x" * 400_000
        kept.append(block)
    elif path == "/log":
        log.info("request %s of %s", served, "x" * 500)
    elif path == "/print":
        print("request", served, "x" * 500)
        print("request", served, "x" * 500, file=sys.stderr)
    elif path == "/warn":
        warnings.warn(f"request {served}", UserWarning)
    elif path == "/raise":
        raise RuntimeError(f"broken by request {served}")


STATUS = {"/500": 500, "/404": 404}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            events.append(kind.removeprefix("lifespan."))
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    while (await receive()).get("more_body"):
        pass
    act(scope["path"])
    await send({"type": "http.response.start", "status": STATUS.get(scope["path"], 200), "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})
'''

CONFIGURATION = """
[tool.pytest]
asyncio_default_fixture_loop_scope = "function"
memleak_app = "app:app"
memleak_duration = "1h"  # 60 iterations, the fewest that are judged
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with the app above, whose checks take 60 iterations."""
    pytester.makepyfile(app=APP)
    pytester.path.joinpath("pyproject.toml").write_text(CONFIGURATION, encoding="utf-8")
    return pytester


@pytest.fixture
def memcheck(project: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run the project's tests in a process of their own, with --memcheck and a JUnit report."""

    def run(*args: str) -> pytest.RunResult:
        return project.runpytest_subprocess("--memcheck", "--junitxml=junit.xml", *args)

    return run


@pytest.fixture
def properties(project: pytest.Pytester) -> Callable[[], dict[str, dict[str, str]]]:
    """What the JUnit report of the last run says about each checked test, without the prefix ``memleak.``."""

    def read() -> dict[str, dict[str, str]]:
        cases = ElementTree.parse(project.path / "junit.xml").iter("testcase")
        found = {
            case.get("name", ""): {
                name.removeprefix("memleak."): item.get("value", "")
                for item in case.iter("property")
                if (name := item.get("name", "")).startswith("memleak.")
            }
            for case in cases
        }
        return {name: values for name, values in found.items() if values}

    return read


@pytest.fixture
def report(project: pytest.Pytester) -> Callable[[], str]:
    """The text of leak_report.txt."""
    return lambda: (project.path / "leak_report.txt").read_text(encoding="utf-8")
