"""What checking costs: `python -m benchmarks.overhead`.

CPU time per iteration of a checked run against the same requests sent in a bare loop, in turn in one process;
and what the installed but inactive plugin adds to the start of pytest, also in turn.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from tabulate import tabulate

from benchmarks.service import make_app, ten_requests
from pytest_memleak import Memleak, check

PAIRS = 12
ITERATIONS = 240
STARTS = 30


async def bare(iterations: int) -> float:
    """CPU seconds per iteration of the bare loop."""
    transport = httpx.ASGITransport(app=make_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        began = time.process_time()
        for _ in range(iterations):
            await ten_requests(client)
        return (time.process_time() - began) / iterations


def checked(iterations: int) -> float:
    """CPU seconds per iteration of the checked run, from the first body to the last."""
    at: list[float] = []

    async def step(memleak: Memleak) -> None:
        at.append(time.process_time())
        await ten_requests(memleak.client)

    check(step, make_app, duration=f"{iterations}min", step="1min").raise_for_leak()
    return (at[-1] - at[0]) / (len(at) - 1)


def iteration_rows() -> list[tuple[object, ...]]:
    """The paired measurement of one iteration."""
    rows = []
    for pair in range(PAIRS):
        # Whichever goes first meets the colder machine: they take turns.
        if pair % 2:
            plain, with_check = asyncio.run(bare(ITERATIONS)), checked(ITERATIONS)
        else:
            with_check, plain = checked(ITERATIONS), asyncio.run(bare(ITERATIONS))
        rows.append((plain * 1e3, with_check * 1e3, with_check / plain))
    plain, with_check, ratio = (statistics.median(column) for column in zip(*rows, strict=True))
    spread = f"{min(r[2] for r in rows):.3f} to {max(r[2] for r in rows):.3f}"
    return [
        ("an iteration of 10 requests", f"{plain:.2f} ms", f"{with_check:.2f} ms", f"{ratio:.3f}", spread, "<= 1.05")
    ]


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start_rows() -> list[tuple[object, ...]]:
    """The paired measurement of the start of pytest, with the plugin blocked and inactive."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        Path(folder, "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")

        def start(*arguments: str) -> float:
            began = _children_s()
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            return (_children_s() - began) * 1e3

        start()
        pairs = [(start("-p", "no:memleak"), start()) for _ in range(STARTS)]
    added = [inactive - blocked for blocked, inactive in pairs]
    blocked, inactive = (statistics.median(column) for column in zip(*pairs, strict=True))
    spread = f"{min(added):+.0f} to {max(added):+.0f} ms"
    row = ("start of pytest, not checking", f"{blocked:.0f} ms", f"{inactive:.0f} ms")
    return [(*row, f"{statistics.median(added):+.1f} ms", spread, "<= +10 ms")]


def main() -> None:
    """Print the table."""
    headers = ("what", "without", "with", "median", "range", "target")
    print(tabulate([*iteration_rows(), *start_rows()], headers=headers, disable_numparse=True))


if __name__ == "__main__":
    main()
