"""What tracking clients and counting resources costs.

Run it with ``python -m benchmarks.client_tracking``. Each pair is measured in one process, the two
sides in turn, so that a busy machine slows both; the ratio is that of the medians.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable
from statistics import median

import httpx

from pytest_memleak.sense.clients import ClientTracker
from pytest_memleak.sense.probes import BUILT_IN
from pytest_memleak.sense.resources import ResourceSensor
from pytest_memleak.sense.watching import ResourceWatch

Work = Callable[[], object]


def microseconds(work: Work, repeats: int) -> float:
    """The mean time of one call in microseconds."""
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats * 1e6


def paired(work: Work, *, rounds: int, repeats: int) -> tuple[float, float]:
    """The median time of one call without and with an installed tracker, in microseconds."""
    plain, tracked = [], []
    for _ in range(rounds):
        plain.append(microseconds(work, repeats))
        tracker = ClientTracker()
        tracker.install()
        try:
            tracked.append(microseconds(work, repeats))
        finally:
            tracker.uninstall()
    return median(plain), median(tracked)


def make_default_client() -> None:
    """A request that makes a client of its own and closes it."""
    httpx.Client().close()


def make_light_client() -> None:
    """A client without certificates: next to nothing else to measure."""
    httpx.Client(verify=False, trust_env=False).close()


def make_none() -> None:
    """A request that uses no client."""
    sum(range(1_000))


def install_and_uninstall() -> None:
    """What a run pays once."""
    tracker = ClientTracker()
    tracker.install()
    tracker.uninstall()


async def per_iteration() -> list[tuple[str, float]]:
    """The time of each sensor after one iteration, with ten tasks waiting."""
    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(asyncio.Event().wait()) for _ in range(10)]
    await asyncio.sleep(0)
    sensor = ResourceSensor(1, loop)
    rows = [(f"count {kind.name}", microseconds(kind.count, 2_000)) for kind in sensor.kinds]
    watch = ResourceWatch(iterations=20_000)
    watch.begin(loop)
    iterations = iter(range(20_000))
    try:
        after = microseconds(lambda: watch.after_iteration(next(iterations)), 10_000)
        rows.append(("all after one iteration", after))
        rows.append(("look for late imports alone", microseconds(watch.clients.refresh, 2_000)))
    finally:
        watch.close()
    for task in tasks:
        task.cancel()
    return rows


def main() -> None:
    """Measure and print."""
    for probe in BUILT_IN:
        try:
            __import__(probe.module)
        except ImportError:
            continue
    gc.collect()
    imported = sum(probe.module in sys.modules for probe in BUILT_IN)
    print(f"{imported} client modules imported, {len(gc.get_objects()):,} objects\n")
    print(f"{'one call':34}{'plain':>12}{'tracked':>12}{'ratio':>8}")
    for work, repeats in ((make_default_client, 10), (make_light_client, 300), (make_none, 3_000)):
        plain_us, tracked_us = paired(work, rounds=15, repeats=repeats)
        print(f"{work.__name__:34}{plain_us:9.1f} us{tracked_us:9.1f} us{tracked_us / plain_us:8.3f}")
    print(f"\n{'install and uninstall':34}{microseconds(install_and_uninstall, 10) / 1e3:9.1f} ms")
    for name, time_us in asyncio.run(per_iteration()):
        print(f"{name:34}{time_us:9.1f} us")


if __name__ == "__main__":
    main()
