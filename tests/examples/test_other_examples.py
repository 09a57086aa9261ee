"""Each small example says what its first lines promise."""

from __future__ import annotations

import re

import pytest


def test_clean_up_of_a_hundred_sessions(example, shell):
    checked = shell("pytest --memcheck -k 'cleanup or forgotten'", example("seed_tests"))

    assert checked.returncode == 0, checked.stdout
    assert "1 passed, 1 deselected, 1 xfailed" in checked.stdout
    assert "60 aiohttp.ClientSession dropped without close" in checked.stdout


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_ci_commands_exist_and_merge_shards(example, shell, system, tmp_path):
    text = (example("ci") / f"{system}.yml").read_text(encoding="utf-8")
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_a.py").write_text(
        "import pytest\n@pytest.mark.memleak(duration='1h')\ndef test_a(): pass\n", encoding="utf-8"
    )
    (tmp_path / "pyproject.toml").write_text("[tool.pytest]\n", encoding="utf-8")

    [check] = re.findall(
        r"pytest \S+(?: \S+)*? --junitxml=junit.xml",
        re.sub(r"\n +--", " --", text).replace("${{ matrix.tests }}", "$TESTS"),
    )
    for shard in ("1", "2"):
        folder = tmp_path / "shards" / shard
        folder.mkdir(parents=True)
        checked = shell(check, tmp_path, TESTS="tests", CI_NODE_INDEX=shard)
        assert checked.returncode == 0, checked.stdout
        if system == "github":
            (tmp_path / "memleak.json").rename(folder / "memleak.json")
    [merge] = re.findall(r"python -m pytest_memleak merge .*", text)
    merged = shell(merge, tmp_path)

    assert merged.returncode == 0, merged.stdout
    assert (tmp_path / "leak_report.html").exists()
    assert "test_a" in (tmp_path / "leak_report.txt").read_text(encoding="utf-8")
