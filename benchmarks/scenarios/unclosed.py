"""Apps that leave something open: clients, tasks, threads, descriptors, child processes."""

from __future__ import annotations

import asyncio
import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import aiohttp
import httpx

from benchmarks.scenarios.app import App, Kind, Request, Scenario

_OK = b"{}"


def _keeps(make: Callable[[], object], every: int = 1) -> App:
    opened: list[object] = []

    async def answer(request: Request) -> bytes:
        if request.number % every == 0:
            opened.append(make())
        return _OK

    return App(answer)


def unclosed_httpx() -> App:
    return _keeps(lambda: httpx.AsyncClient(verify=False))  # leaks


def unclosed_httpx2() -> App:
    import httpx2

    return _keeps(lambda: httpx2.AsyncClient(verify=False))  # leaks


def unclosed_aiohttp() -> App:
    return _keeps(lambda: aiohttp.ClientSession())  # leaks


def tasks() -> App:
    def start() -> asyncio.Task[bool]:
        return asyncio.create_task(asyncio.Event().wait())  # leaks

    return _keeps(start)


def threads() -> App:
    end = threading.Event()
    atexit.register(end.set)

    def start() -> threading.Thread:
        thread = threading.Thread(target=end.wait, daemon=True)
        thread.start()  # leaks
        return thread

    return _keeps(start)


def descriptors() -> App:
    return _keeps(lambda: os.open(os.devnull, os.O_RDONLY))  # leaks


def child_processes() -> App:
    """Each waits for the end of its standard input, which comes with the end of this process at the latest."""
    child = (sys.executable, "-S", "-c", "import sys; sys.stdin.read()")
    return _keeps(lambda: subprocess.Popen(child, stdin=subprocess.PIPE), every=20)  # leaks


def _scenario(name: str, build: Callable[[], App], kind: Kind) -> Scenario:
    # One request an iteration: what is opened is counted, not weighed.
    return Scenario(name=name, build=build, expected="leak", kind=kind, requests=1)


SCENARIOS = (
    _scenario("unclosed httpx client", unclosed_httpx, "client"),
    _scenario("unclosed httpx2 client", unclosed_httpx2, "client"),
    _scenario("unclosed aiohttp session", unclosed_aiohttp, "client"),
    _scenario("task", tasks, "task"),
    _scenario("thread", threads, "thread"),
    _scenario("file descriptor", descriptors, "fd"),
    _scenario("child process", child_processes, "child process"),
)
