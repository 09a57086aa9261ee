"""Tables are made of single runs that were kept, with misses said."""

from __future__ import annotations

import re

import pytest

from benchmarks import detection_floor, flake_rate, rivals, slope_accuracy, time_to_verdict, verdicts
from benchmarks.__main__ import document, main
from benchmarks.cells import Cells
from benchmarks.rivals import TOOLS
from benchmarks.scenarios import ALL, named


def run(outcome: str, **more: object) -> dict[str, object]:
    facts = {
        "seconds": 2.0,
        "cpu_s": 1.0,
        "checked_s": 0.5,
        "iterations": 300,
        "line": None,
        "true_line": "a.py:1",
        "low": 1.0,
        "high": 3.0,
    }
    facts |= {"live_bytes_per_iteration": 640.0, "live_low": 600.0, "live_high": 700.0}
    return {"outcome": outcome, **facts, "bytes_per_iteration": 2.0, **more}


def kept(tmp_path, name: str, runs: dict[tuple[str, ...], list[str]]) -> Cells:
    cells = Cells(name, tmp_path)
    for key, outcomes in runs.items():
        told = iter(outcomes)
        cells.fill([key], len(outcomes), lambda *_, told=told: run(next(told)))
    return Cells(name, tmp_path)  # as a later run reads them


def test_cells_go_on_where_they_stopped(tmp_path):
    calls = []

    def measure(*key):
        calls.append(key)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return run("clean")

    with pytest.raises(KeyboardInterrupt):
        Cells("t", tmp_path).fill([("a",), ("b",)], 3, measure)
    Cells("t", tmp_path).fill([("a",), ("b",)], 3, measure)

    assert calls == [("a",), ("b",), ("a",), ("b",), ("b",), ("a",), ("b",)]
    assert len(Cells("t", tmp_path).of("a")) == 3
    assert Cells("t", tmp_path).run_counts() == "3"


def test_verdicts_count_right_and_wrong_and_say_what_was_missed(tmp_path):
    cells = kept(
        tmp_path,
        "verdicts",
        {
            ("pytest-memleak", "no-op"): ["clean", "clean", "leak"],
            ("pytest-memleak", "twice the budget"): ["leak", "inconclusive"],
            ("psleak", "no-op"): ["clean"],
        },
    )
    table = verdicts.make_table(cells)

    rows = {row[0]: row for row in table.rows}
    assert rows["no-op"][1:3] == ("clean", "2 right, 1 wrong")
    assert rows["twice the budget"][2] == "1 right, 1 inconclusive"
    assert rows["thread"][table.headers.index("tracemalloc")] in ("n/a", "not installed")
    assert rows["all clean"][2] == "2 of 3 right"
    assert table.runs == "2 to 3 of pytest-memleak, 1 of the other tools"
    assert "calls no clean scenario a leak. Missed: no-op (2 right, 1 wrong)." in table.notes[1]
    assert "Missed: twice the budget (1 right, 1 inconclusive)" in table.notes[2]
    assert "runs per cell: 2 to 3 of pytest-memleak" in table.as_markdown()
    assert table.as_markdown().count("\n| no-op ") == 1


def test_time_to_verdict_compares_with_plain_iterations(tmp_path):
    plain = kept(tmp_path, "time_to_verdict", {(rivals.PLAIN.name, "no-op"): ["clean"]})
    judged = kept(tmp_path, "verdicts", {("pytest-memleak", "no-op"): ["clean"]})

    table = time_to_verdict.make_table(plain, judged)

    assert table.rows[1][:3] == ["pytest-memleak", "1.0 s", "2.0 s"]
    assert "Met, in the middle 1.00 x" in table.notes[1]


def test_the_floor_is_where_everything_above_is_right_too(tmp_path):
    right = {
        (verdicts.FLAGSHIP, name): ["leak" if name.startswith("keeps") else "clean"]
        for size in detection_floor.SIZES
        for name in detection_floor._names(size)
    }
    right[verdicts.FLAGSHIP, "keeps 16 B under 8 B"] = ["inconclusive"]

    table = detection_floor.make_table(kept(tmp_path, "detection_floor", right))

    assert "Missed: from 32 B a request on" in table.notes[0]


def test_slopes_say_how_often_the_interval_covers_the_truth(tmp_path):
    cells = kept(tmp_path, "slope_accuracy", {(verdicts.FLAGSHIP, "keeps 64 B under 32 B"): ["leak", "leak"]})

    table = slope_accuracy.make_table(cells)

    assert [row[-1] for row in table.rows] == ["0 of 2", "2 of 2"]  # 640 bytes: not between 1 and 3
    assert "in 0 of 2 (reported) and 2 of 2 (live bytes alone) runs" in table.notes[0]


def test_flakes_are_counted(tmp_path):
    cells = Cells("flake_rate", tmp_path)
    told = {
        (flake_rate.ALONE, "test_healthy"): [["passed"], ["passed"], ["passed"]],
        (flake_rate.ALONE, "test_leaky"): [["leak"], ["error"]],
        (flake_rate.TOGETHER, "test_leaky"): [["leak"] * 4],
    }
    for key, sessions in told.items():
        verdicts = iter(sessions)
        cells.fill([key], len(sessions), lambda *_, verdicts=verdicts: {"verdicts": next(verdicts)})

    table = flake_rate.make_table(cells)

    assert table.rows == [
        ("test_healthy", "passed", "3 passed", "not run", "not run"),
        ("test_leaky", "leak", "1 leak, 1 error", "not run", "4 leak"),
    ]
    assert table.notes == ("Target: no other verdict in 50 runs of each. Missed: 1 other verdicts.",)
    assert table.runs == "at least 0 verdicts"


def test_every_tool_judges_clean_apps_and_only_its_leaks():
    assert all(rivals.in_scope(tool, named("no-op")) for tool in TOOLS)
    pyleak = rivals.tool("pyleak")
    assert {s.kind for s in ALL if s.expected == "leak" and rivals.in_scope(pyleak, s)} == {"task", "thread"}


def test_a_cell_is_a_process_of_its_own():
    answer = rivals.run("first v. last RSS", "no-op")

    assert answer["outcome"] == "clean"
    assert answer["cpu_s"] > 0


def test_results_are_written_from_what_was_kept():
    text = document("python -m benchmarks --no-runs")

    for heading in ("The tools", "Verdicts", "Time to verdict", "Detection floor", "Accuracy of the rate", "Overhead"):
        assert f"\n## {heading}\n" in text
    assert "Written by `python -m benchmarks --no-runs`" in text
    assert all(f"| {tool.name} " in text for tool in TOOLS)
    assert not re.search(r"/(home|root|tmp|work)/", text)  # a published file names no folder of a machine


def test_an_unknown_table_is_a_usage_error(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks", "--only", "verdict"])
    with pytest.raises(SystemExit):
        main()
    assert "no table is called verdict; there are verdicts, time_to_verdict," in capsys.readouterr().err
