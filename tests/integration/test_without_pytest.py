"""check and acheck: the same verdict without pytest, in a process of their own."""

from __future__ import annotations

import json
import sys

SCRIPT = """
import asyncio
import gc
import json
import time

import app
from pytest_memleak import MemoryLeakError, acheck, check

clock = time.time
kept = []
settings = {"duration": "1h", "explain": False}

def leak():
    kept.append(bytearray(1_000_000))

async def request(memleak):
    await memleak.send([("GET", "/ok")], count=2)

async def broken():
    raise LookupError("broken")

verdicts = [
    check(lambda: None, **settings),
    check(leak, **settings),
    check(request, "app:app", **settings),
    asyncio.run(acheck(request, app.app, simulate_time=False, **settings)),
]
try:
    verdicts[1].raise_for_leak()
except MemoryLeakError as error:
    raised = str(error)
errors = []
mistakes = [(broken, None, settings), (leak, None, {"profile": "fast"}), (request, "nowhere:app", settings)]
for step, source, given in mistakes:
    try:
        check(step, source, **given)
    except Exception as error:
        errors.append(f"{type(error).__name__}: {error}")
print(json.dumps({
    "verdicts": [verdict.outcome for verdict in verdicts],
    "requests": [verdict.requests for verdict in verdicts],
    "raised": raised,
    "errors": errors,
    "restored": [time.time is clock, gc.get_freeze_count(), gc.isenabled()],
}))
"""


def test_check(project):
    script = project.makepyfile(script=SCRIPT)

    result = project.runpython(script)

    assert result.ret == 0, result.stderr.str()
    said = json.loads(result.stdout.lines[-1])
    assert said["verdicts"] == ["passed", "leak", "passed", "passed"]
    assert said["requests"] == [None, None, 120, 120]
    assert said["raised"].startswith("grows by 1,4")
    assert said["errors"] == [
        "LookupError: broken",
        "SettingsError: profile: 'fast' is not one of standard, quick, soak, full",
        "DriveError: the app 'nowhere:app' cannot be imported: there is no module 'nowhere' in the root directory or "
        "in pytest's pythonpath",
    ]
    assert said["restored"] == [True, 0, True]


def test_importing_the_package_imports_nothing_heavy(project):
    heavy = {"httpx", "psutil", "memray", "tabulate", "time_machine", "pytest", "asyncio"}

    result = project.run(
        sys.executable, "-c", f"import sys, pytest_memleak; print(sorted({heavy!r} & set(sys.modules)))"
    )

    assert result.stdout.lines == ["[]"]
