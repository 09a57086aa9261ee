"""Drives a planted leak the way a run does and explains it.

As a script, ``planted.py NAME``: in a fresh process, the explanation as JSON on the last line.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Awaitable, Callable
from types import ModuleType

import httpx
import psutil

from pytest_memleak.explain import explain
from pytest_memleak.model import Explanation, GrowthFacts

HERE = pathlib.Path(__file__).parent
PLANTS = HERE / "plants"
REQUESTS_PER_ITERATION = 10
WARM_UP, MEASURED = 10, 30


def names() -> list[str]:
    return sorted(path.stem for path in PLANTS.glob("[a-z]*.py"))


def expected(name: str) -> tuple[set[str], set[str]]:
    """The true lines (``plants/x.py:12``) and the true holders' paths of a plant."""
    text = (PLANTS / f"{name}.py").read_text()
    lines = {f"{name}.py:{number}" for number, line in enumerate(text.splitlines(), 1) if "# LEAK" in line}
    found = re.search(r"^holder: (.*)$", text, re.MULTILINE)
    assert found is not None, name
    return lines, {path.strip() for path in found[1].split(" | ")} - {"-"}


def build_extension(folder: pathlib.Path) -> bool:
    """Build ``leaky`` into `folder`; False where there is no compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return False
    target = folder / f"leaky{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_path('include')}"
    command = [compiler, "-g", "-shared", "-fPIC", include, str(HERE / "leaky.c"), "-o", str(target)]
    return subprocess.run(command, check=False).returncode == 0


async def explain_module(plant: ModuleType) -> Explanation:
    """Drive a plant (its ``app``, ``create_app()`` or ``work()``), measure its growth, explain it."""
    sent = 0
    app = plant.create_app() if hasattr(plant, "create_app") else getattr(plant, "app", None)
    if hasattr(plant, "startup"):
        await plant.startup()
    method, path, *body = getattr(plant, "REQUEST", ("GET", "/"))
    transport = httpx.ASGITransport(app=app) if app is not None else None
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:

        async def send() -> None:
            nonlocal sent
            sent += 1
            answer = await client.request(method, path, json=body[0] if body else None)
            assert answer.is_success, answer.text

        async def step() -> None:
            for _ in range(REQUESTS_PER_ITERATION):
                if app is not None:
                    await send()
                else:
                    plant.work()

        return await explain(
            step,
            growth=await measure(step),
            requests=lambda: sent,
            root=str(pathlib.Path(plant.__file__).parent),
        )


async def measure(step: Callable[[], Awaitable[None]]) -> GrowthFacts:
    """The numbers a run would hand over."""
    process = psutil.Process()

    def read() -> tuple[float, float, float]:
        gc.collect()
        memory, heap = process.memory_info(), psutil.heap_info()
        live = heap.heap_used + heap.mmap_used + sys.getallocatedblocks() * 96
        return memory.rss, memory.vms, live

    for _ in range(WARM_UP):
        await step()
    before = read()
    for _ in range(MEASURED):
        await step()
    rss, vms, live = (now - then for now, then in zip(read(), before, strict=True))
    return GrowthFacts(
        iterations=MEASURED,
        rss_bytes_per_iteration=rss / MEASURED,
        rss_growth_bytes=rss,
        live_bytes_per_iteration=live / MEASURED,
        vms_growth_bytes=vms,
    )


@functools.cache
def explain_plant(name: str) -> Explanation:
    """Import a plant under its own name and explain it."""
    if str(PLANTS) not in sys.path:
        sys.path.insert(0, str(PLANTS))
    return asyncio.run(explain_module(importlib.import_module(name)))


def in_fresh_process(name: str, *, extension: str = "", hash_seed: str = "0") -> dict[str, object]:
    """Explain a plant in a process of its own."""
    paths = os.pathsep.join(filter(None, (extension, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
    command = [sys.executable, str(HERE / "planted.py"), name]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"{name}: {answer.stderr[-2000:]}")
    result: dict[str, object] = json.loads(answer.stdout.splitlines()[-1])
    return result


def as_json(explanation: Explanation) -> str:
    return json.dumps(
        {
            "cause": explanation.cause,
            "top_line": explanation.top_line,
            "top_holder": explanation.top_holder,
            "lines": [
                f"{pathlib.Path(finding.path).name}:{finding.line}"
                for finding in explanation.findings
                if finding.kind in ("allocation", "native_allocation") and finding.path
            ],
            "holders": [
                re.split(r" \([^()]*\) (?:grows|leads)", finding.summary)[0]
                for finding in explanation.findings
                if finding.kind == "holder"
            ],
            "findings": [[finding.kind, finding.summary, *finding.details] for finding in explanation.findings],
            "owners": [finding.owner for finding in explanation.findings],
            "notes": explanation.notes,
        }
    )


if __name__ == "__main__":
    sys.stdout.write(as_json(explain_plant(sys.argv[1])) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the plants leave tasks, threads and exit callbacks behind
