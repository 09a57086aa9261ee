"""A project whose checked tests go wrong, and whose ordinary tests prove that everything is as it was before."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

APP = '''
"""A raw ASGI app; what it does is up to the path, from the tenth request on."""

import asyncio
import gc
import multiprocessing
import os
import signal
import threading
import time
import tracemalloc

served = 0
lifespans = []
kept = []


def answer(queue):
    queue.put(1)


def fork():
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
    else:
        time.sleep(0.001)
        os._exit(0)


def spawn():
    queue = multiprocessing.get_context("fork").SimpleQueue()
    process = multiprocessing.get_context("fork").Process(target=answer, args=(queue,))
    process.start()
    process.join()
    assert queue.get() == 1 and process.exitcode == 0
    process.close()


def terminate():
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join()
    assert process.exitcode == -signal.SIGTERM
    process.close()


def block():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def spin():
    while True:
        try:
            time.monotonic()
        except Exception:
            pass


async def act(path):
    global served
    served += 1
    if path == "/tenth" and served % 10 == 0:
        raise RuntimeError(f"broken by request {served}")
    if served == 3 and path == "/closes_descriptors":
        for descriptor in os.listdir("/proc/self/fd"):
            if os.path.exists(f"/proc/self/fd/{descriptor}") and "statm" in os.readlink(f"/proc/self/fd/{descriptor}"):
                os.close(int(descriptor))
    if served == 3:
        if path == "/gc":
            gc.disable()
            gc.freeze()
        elif path == "/tracemalloc":
            tracemalloc.start()
        elif path == "/policy":
            asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
        elif path in ("/fork", "/spawn", "/terminate"):
            globals()[path[1:]]()
        elif path == "/takes_sigterm":  # as servers do
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        elif path == "/gives_back":
            kept.append(bytearray(200_000_000))
        elif path == "/settime":
            os.environ["TZ"] = "Asia/Tokyo"
            time.tzset()
    elif served == 4:
        kept.clear()
    if served == 10:
        if path == "/interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        elif path == "/terminated":
            os.kill(os.getpid(), signal.SIGTERM)
        elif path == "/die":
            os._exit(3)
        elif path == "/crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif path == "/close_loop":
            asyncio.get_running_loop().close()
        elif path == "/stop_loop":
            asyncio.get_running_loop().stop()
        elif path in ("/interrupt", "/terminated", "/wait", "/stop_loop"):
            pass
        elif path in ("/block", "/spin"):
            globals()[path[1:]]()
        if path in ("/interrupt", "/terminated", "/wait", "/stop_loop"):
            await asyncio.Event().wait()
    if path == "/leak":
        kept.append(bytearray(b"x") * 1_000_000)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            lifespans.append(kind.removeprefix("lifespan."))
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    while (await receive()).get("more_body"):
        pass
    await act(scope["path"])
    await send({"type": "http.response.start", "status": 500 if scope["path"] == "/500" else 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})
'''

CONFTEST = '''
import asyncio
import gc
import os
import signal
import threading
import time
import tracemalloc
import warnings
from pathlib import Path

import httpx
import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
BEFORE = {
    "client": httpx.AsyncClient.__init__,
    "frozen": gc.get_freeze_count(),
    "callbacks": len(gc.callbacks),
    "signals": {
        number: signal.getsignal(number)
        for number in (signal.SIGALRM, signal.SIGVTALRM, signal.SIGRTMAX, signal.SIGINT)
    },
    "tzname": time.tzname,
    "policy": type(asyncio.get_event_loop_policy()),
}


def pytest_sessionstart():
    # A session that checks is interrupted by it.
    BEFORE["signals"][signal.SIGTERM] = signal.getsignal(signal.SIGTERM)


@pytest.fixture(autouse=True)
def fresh_app():
    import app

    app.served = 0
    app.kept.clear()
    app.lifespans.clear()


@pytest.fixture
def as_before(tmp_path):
    """What an ordinary test relies on."""
    file = tmp_path / "now"
    file.touch()
    assert abs(time.time() - file.stat().st_mtime) < 60, "the wall clock is not real"
    started, began = os.times().elapsed, time.perf_counter()
    time.sleep(0.05)
    assert os.times().elapsed - started >= 0.03, "time.sleep is simulated"
    assert time.perf_counter() - began < 60
    assert httpx.AsyncClient.__init__ is BEFORE["client"], "a class is still patched"
    assert gc.isenabled() and gc.get_freeze_count() <= BEFORE["frozen"]
    assert not tracemalloc.is_tracing()
    assert {number: signal.getsignal(number) for number in BEFORE["signals"]} == BEFORE["signals"]
    assert [thread.name for thread in threading.enumerate() if "memleak" in thread.name] == []
    assert type(asyncio.get_event_loop_policy()) is BEFORE["policy"]


@pytest.fixture
def undo():
    yield
    gc.unfreeze()
    gc.enable()
    tracemalloc.stop()
    os.environ.pop("TZ", None)
    time.tzset()
'''

CONFIGURATION = """
[tool.pytest]
asyncio_default_fixture_loop_scope = "function"
memleak_app = "app:app"
memleak_duration = "1h"  # 60 iterations, the fewest that are judged
memleak_explain = false
"""

ORDINARY = """

def test_ordinary_{n}(as_before):
    pass


@pytest.mark.asyncio
async def test_ordinary_async_{n}(as_before):
    began = os.times().elapsed
    await asyncio.sleep(0.05)
    assert os.times().elapsed - began >= 0.03
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(app=APP)
    pytester.makeconftest(CONFTEST)
    pytester.path.joinpath("pyproject.toml").write_text(CONFIGURATION, encoding="utf-8")
    return pytester


@pytest.fixture
def faulty(project: pytest.Pytester) -> Callable[..., None]:
    """Write a test module: each of these tests with ordinary tests after it."""

    def write(*tests: str, name: str = "test_faulty") -> None:
        parts = ["import asyncio, os, re, signal, sys, time\nimport pytest\nimport app\n"]
        for n, test in enumerate(tests):
            parts += [test, ORDINARY.format(n=n)]
        project.makepyfile(**{name: "\n".join(parts)})

    return write


@pytest.fixture
def requesting() -> Callable[..., str]:
    """The source of a checked test that sends one request an iteration."""

    def write(path: str, arguments: str = "", fixtures: str = "") -> str:
        return (
            f"@pytest.mark.memleak({arguments})\n"
            f"async def test_{path}(memleak_client{', ' + fixtures if fixtures else ''}):\n"
            f"    await memleak_client.get('/{path}')\n"
        )

    return write


@pytest.fixture
def verdicts(project: pytest.Pytester) -> Callable[[], dict[str, str]]:
    """The verdict and its reason of each checked test, from the report."""

    def read() -> dict[str, str]:
        text = project.path.joinpath("leak_report.txt").read_text(encoding="utf-8")
        found = {}
        for block in text.split("\n\n"):
            title, _, rest = block.partition("\n---")
            if "::" in title and "\n" not in title:
                lines = itertools.takewhile(lambda line: not line.startswith("  "), rest.lstrip("-\n").splitlines())
                found[title.partition("::")[2]] = " ".join(lines)
        return found

    return read
