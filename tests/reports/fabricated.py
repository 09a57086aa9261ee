"""Records made of fabricated samples: no sleep, no allocation."""

from __future__ import annotations

import random
from typing import Any

from pytest_memleak.judge.decision import Standing
from pytest_memleak.judge.memory import Readings, look_at_memory
from pytest_memleak.judge.outcome import Measured, conclude
from pytest_memleak.model import Explanation, Finding, ResourceCount
from pytest_memleak.settings import make_settings
from pytest_memleak.verdict import Verdict

LENGTH = 300
REQUESTS = 10
"""Requests an iteration."""
ROOT = "/srv/app"

HOSTILE = {
    "script": "test_a.py::test[<script>alert(1)</script>]",
    "attribute": "test_a.py::test[\" onmouseover='alert(1)' x=\"]",
    "cdata": "test_a.py::test[]]>&amp;<!--]",
    "template": "test_a.py::test[{{ 7 * 7 }}{% raw %}${7*7}]",
    "newlines": "test_a.py::test[one\ntwo\r\nthree\u2028four]",
    "command": "test_a.py::test[::error file=x::%0A::set-output]",
    "markdown": "test_a.py::test[a|b `c` **d** [e](javascript:f) <img src=x onerror=g>]",
    "emoji": "test_a.py::test[👩‍👩‍👧 漢字 e\u0301 \u202egnp.exe]",
    "surrogate": "test_a.py::test[\udce9\ud800]",
    "control": "test_a.py::test[\x1b[31mred\x07\0\x7f]",
    "endless": "test_a.py::test[" + "x" * 10_000 + "]",
}


def column(bytes_per_iteration: float, start: float = 60e6, *, seed: int = 1, length: int = LENGTH) -> list[int]:
    """Bytes that rise by so much an iteration, with 5 kB of noise."""
    chance = random.Random(seed)
    return [round(start + bytes_per_iteration * i + chance.gauss(0, 5_000)) for i in range(length)]


def verdict(bytes_per_iteration: float = 0.0, *, seed: int = 1, text: str = "", **settings: Any) -> Verdict:
    """The verdict on a growth; a leak comes with an explanation whose texts hold `text`."""
    rss = column(bytes_per_iteration, seed=seed)
    live = column(bytes_per_iteration, 40e6, seed=seed + 1)
    measured = Measured(
        settings=make_settings({"duration": f"{LENGTH}min", **settings}),
        readings=Readings(
            rss_bytes=rss,
            vms_bytes=rss,
            heap_bytes=live,
            blocks=[0] * LENGTH,
            calibrations=(),
            requests=REQUESTS * LENGTH,
        ),
        requests_by_iteration=[REQUESTS * (i + 1) for i in range(LENGTH)],
        requests=REQUESTS * LENGTH,
        failed_requests=0,
        routes={"GET /": 2_000, f"POST /analyze{text}": 1_000},
        rss_peak_bytes=max(rss),
        memory_limit_bytes=2 * 2**30,
        real_s=1.5,
        total_s=2.5,
        open_counts={"fd": [12 + i // 50 for i in range(LENGTH)], "task": [3] * LENGTH, "thread": [1] * LENGTH},
    )
    look = look_at_memory(measured.readings, budget=measured.budget_bytes, standing=Standing(), last=True)
    clients = ResourceCount(
        kind="client",
        name="httpx.AsyncClient",
        count_start=1,
        count_end=301,
        per_iteration=1.0,
        sites=(f"app/clients.py:12{text}",),
    )
    found = Finding(
        kind="allocation",
        summary=f"app/cache.py:2 keeps {bytes_per_iteration:.0f} bytes an iteration {text}",
        details=(f"cache.append(bytes(100)) {text}", f"stack: app/main.py:3 {text}"),
        path=f"{ROOT}/app/cache.py",
        line=2,
    )
    explained = Explanation(
        cause=f"Python objects stay allocated {text}",
        top_line="app/cache.py:2",
        top_holder=f"app.cache.store{text}",
        findings=(found,),
        notes=(f"growth was linear to the end {text}",),
    )
    return conclude(measured, look, ((clients,), ()), explained if bytes_per_iteration else None)


def entry(bytes_per_iteration: float = 0.0, nodeid: str = "tests/test_app.py::test_analyze", **how: Any) -> dict:
    """The entry of a record."""
    return verdict(bytes_per_iteration, **how).as_dict(nodeid, root=ROOT, all_samples=True)


def failed_entry(nodeid: str = "tests/test_app.py::test_broken", message: str = "setup failed: no") -> dict:
    """The entry of a test that measured nothing."""
    return Verdict(outcome="error", message=message, settings=make_settings({})).as_dict(nodeid)


def record(*entries: dict, **keys: Any) -> dict:
    """A record of a session."""
    return {
        "schema": 1,
        "tool": {"name": "pytest-memleak", "version": "1.2.3"},
        "environment": {
            "python": "CPython 3.11.7",
            "platform": "Linux-6.1-x86_64",
            "cpus": 2,
            "sensors": ["RSS", "C heap"],
            "started": "2026-01-02 03:04 UTC",
        },
        "tests": list(entries),
        "not_checked": [],
        "baseline": None,
        **keys,
    }
