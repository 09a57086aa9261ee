"""The service that people copy: its commands work word for word, and its defects are in the record."""

from __future__ import annotations

import json

DEFECTS = {
    "httpx client per request": "resume_advisor/defects.py",
    "context of a pending task": "resume_advisor/defects.py",
    "five-minute job": "resume_advisor/defects.py",
}


def test_the_runbooks_commands(example, shell):
    folder = example("resume_advisor")

    # The whole day takes a minute: only the other test is run here.
    checked = shell("pytest tests/memory/test_memory_leak.py --memcheck", folder, PYTEST_ADDOPTS="-k stress")
    shown = shell("cat tests/memory/leak_report.txt", folder)

    assert checked.returncode == 0, checked.stdout
    assert shown.returncode == 0
    assert "test_memory_leak.py::test_stress" in shown.stdout
    assert "PASSED: grows by" in shown.stdout
    assert "  container   limit " in shown.stdout


def test_defects_are_leaks_in_the_record(example, shell):
    folder = example("resume_advisor")
    chosen = " or ".join(name.split()[0] for name in DEFECTS)

    checked = shell(f'pytest --memcheck tests/test_defects.py -k "{chosen}" --memcheck-json=record.json', folder)

    assert checked.returncode == 0, checked.stdout
    tests = json.loads((folder / "record.json").read_text(encoding="utf-8"))["tests"]
    found = {test["nodeid"].partition("[")[2].removesuffix("]"): test for test in tests}
    assert {name: found[name]["verdict"] for name in DEFECTS} == dict.fromkeys(DEFECTS, "leak")
    source = (folder / "resume_advisor/defects.py").read_text(encoding="utf-8").splitlines()
    for test in found.values():
        path, _, line = test["top_line"].rpartition(":")
        assert path == "resume_advisor/defects.py"
        assert source[int(line) - 1].endswith("# the leak")


def test_the_service_works_without_the_plugin_switched_on(example, shell):
    checked = shell("pytest -q tests/test_service.py tests/test_defects.py", example("resume_advisor"))

    assert checked.returncode == 0, checked.stdout
    assert "18 passed, 12 skipped" in checked.stdout
