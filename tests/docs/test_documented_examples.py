"""The examples of the documentation do what its pages say, run as a reader runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "examples" / "tutorial"

OUTCOMES = {
    "allow": "2 passed, 2 xfailed",
    "clock": "2 passed",
    "login": "1 passed",
    "traffic": "3 passed",
}
"""With --memcheck, by folder."""


def report(where: Path) -> str:
    return (where / "leak_report.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OUTCOMES)
def test_example(name, folder, shell):
    checked = shell("pytest --memcheck", folder(f"docs/examples/{name}"))

    assert checked.returncode == 0, checked.stdout
    assert f" {OUTCOMES[name]} in " in checked.stdout


@pytest.mark.parametrize("name", ["clock", "login"])
def test_example_is_a_plain_test_too(name, folder, shell):
    plain = shell("pytest", folder(f"docs/examples/{name}"))

    assert plain.returncode == 0, plain.stdout


def test_tutorial_names_the_line_that_leaks():
    shown = (TUTORIAL / "leaky.txt").read_text(encoding="utf-8")
    source = (ROOT / "examples" / "quickstart" / "app.py").read_text(encoding="utf-8").splitlines()

    place = re.search(r"^  line +app\.py:(\d+)$", shown, re.MULTILINE)
    assert place is not None
    line = source[int(place[1]) - 1].strip()
    assert line.startswith("history.append(")
    assert f"\n      {line}\n" in shown


def test_tutorial_repairs_it(folder, shell):
    checked = shell("pytest --memcheck", folder("examples/quickstart", "docs/examples/tutorial"))

    assert checked.returncode == 0, checked.stdout
    assert "2 passed" in checked.stdout


def test_database(folder, shell):
    where = folder("docs/examples/fastapi_database")

    checked = shell("pytest --memcheck --memcheck-duration 1h", where)

    assert "1 failed, 1 passed" in checked.stdout
    assert "LEAK: 60 aiosqlite.Connection dropped without close, 1 per iteration; none may be" in report(where)
    assert "made at app.py:62 in health" in report(where)
    assert "made by sqlalchemy for itself" in report(where)


def test_budgets(folder, shell):
    where = folder("docs/examples/budgets")

    checked = shell("pytest --memcheck --memcheck-no-explain", where)

    assert checked.returncode == 0, checked.stdout
    assert "2 passed, 2 xfailed" in checked.stdout
    assert re.search(r"LEAK +4,[56]\d\d +500 .*test_large_production", report(where))


def test_scan(folder, shell):
    where = folder("docs/examples/scan")

    checked = shell("pytest --memcheck", where)

    assert "1 failed, 1 passed, 2 skipped" in checked.stdout
    assert "line        app.py:22" in report(where)
    assert "held by     app.rendered" in report(where)
    assert 'set operation.parameters["currency"] in the hook' in re.sub(r"\s+", " ", report(where))


def test_baseline(folder, shell):
    where = folder("examples/quickstart")
    healthy_only = "pytest --memcheck --memcheck-profile quick --memcheck-no-explain -k healthy"
    saved = shell(f"{healthy_only} --memcheck-save main", where)
    assert saved.returncode == 0, saved.stdout
    app = where / "app.py"
    healthy = '    return {"status": "ok"}'
    app.write_text(
        app.read_text(encoding="utf-8").replace(healthy, f"    history.append(bytes(2000))\n{healthy}"), "utf-8"
    )

    compared = shell(f"{healthy_only} --memcheck-compare main --memcheck-compare-fail 10%", where)

    assert compared.returncode == 1
    assert "regression: test_quickstart.py::test_healthy: live grows by 2.1 kB per request" in compared.stdout


def test_production(folder, shell):
    where = folder("docs/examples/production")

    judged = shell("python make_rss.py > rss.csv && python -m pytest_memleak analyze rss.csv", where)
    rules = shell("python -m pytest_memleak alerts --format prometheus --selector 'job=\"api\"'", where)

    assert judged.returncode == 1
    shown = (where / "analyzed.txt").read_text(encoding="utf-8")
    assert judged.stdout.splitlines()[1:] == shown.splitlines()[1:]  # the first has the version
    assert rules.stdout == (where / "memory-rules.yml").read_text(encoding="utf-8")


def test_sampling_a_process(folder, shell):
    where = folder("docs/examples/production")

    sampled = shell("sleep 60 & python sample_rss.py $! 0.01 | head -n 3; kill %1 2>/dev/null || kill $!", where)

    assert re.match(r"time,rss_bytes\n\d+,\d+\n\d+,\d+\n", sampled.stdout)


def test_script(folder, shell):
    where = folder("docs/examples/without_pytest")

    printed = shell("python check_parser.py", where)

    assert printed.stdout.startswith("leak - grows by ")
    shown = (where / "printed.txt").read_text(encoding="utf-8")
    assert printed.stdout.splitlines()[-2:] == shown.splitlines()[-2:]


def test_jenkins(folder, shell, tmp_path):
    text = (folder("examples/ci") / "Jenkinsfile").read_text(encoding="utf-8")
    command = re.search(r"\.venv/bin/(pytest (?:.*\\\n)*.*)", text)
    assert command is not None
    tests = tmp_path / "tests" / "memory"
    tests.mkdir(parents=True)
    body = "import pytest\n@pytest.mark.memleak(duration='1h')\ndef test_a(): pass\n"
    (tests / "test_a.py").write_text(body, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest]\n", encoding="utf-8")

    checked = shell(f"PYTEST_ADDOPTS='-p asyncio -p memleak -p xdist' {command[1]}", tmp_path)

    assert checked.returncode == 0, checked.stdout
    kept = re.search(r"artifacts: '([^']+)'", text)
    assert kept is not None
    assert [name for name in kept[1].split(", ") if not (tmp_path / name).exists()] == []
