"""The command line: the same decision on production's memory, one report of many shards, alert rules."""

from __future__ import annotations

import datetime
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fabricated
import jsonschema
import pytest

from pytest_memleak.cli import main
from pytest_memleak.judge.series import Series, judge_series, on_grid, restarts, segments
from pytest_memleak.report import record as json_record
from pytest_memleak.report.schema import record_schema
from pytest_memleak.settings import make_settings

DAY_S = 86_400
START_S = 1_790_000_000


def sampled(
    mb_per_24h: float, *, every_s: float = 60, jitter: float = 0.0, hours: float = 24, seed: int = 1, name: str = "api"
) -> Series:
    """A process of 200 MB that grows by so much a day."""
    chance = random.Random(seed)
    times = [
        START_S + i * every_s + chance.uniform(-jitter, jitter) * every_s for i in range(int(hours * 3600 / every_s))
    ]
    rate = mb_per_24h * 1e6 / DAY_S
    return Series(
        name=name,
        times_s=times,
        rss_bytes=[200e6 + rate * (time - START_S) + chance.gauss(0, 300_000) for time in times],
    )


def joined(*parts: Series) -> Series:
    """One after the other, a minute apart."""
    times: list[float] = []
    sizes: list[float] = []
    for part in parts:
        shift = times[-1] + 60 - part.times_s[0] if times else 0
        times += [time + shift for time in part.times_s]
        sizes += part.rss_bytes
    return Series(name=parts[0].name, times_s=times, rss_bytes=sizes)


def outcome(series: Series, **settings: str) -> str:
    return judge_series(series, make_settings(settings), 2**31).outcome


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("every_s", [15, 60, 300])
@pytest.mark.parametrize("jitter", [0.0, 0.45])
def test_growth_is_judged_at_any_sampling(every_s, jitter, seed):
    def series(mb: float) -> Series:
        return sampled(mb, every_s=every_s, jitter=jitter, seed=seed)

    assert [outcome(series(mb)) for mb in (0, 250, 1000)] == ["passed", "passed", "leak"]


def test_dropped_samples_and_gaps():
    chance = random.Random(2)
    whole = sampled(1_000)
    kept = [i for i in range(len(whole.times_s)) if chance.random() > 0.3 and not 400 <= i < 520]
    series = Series(name="api", times_s=[whole.times_s[i] for i in kept], rss_bytes=[whole.rss_bytes[i] for i in kept])

    verdict = judge_series(series, make_settings({}), 2**31)

    assert verdict.outcome == "leak"
    assert verdict.as_dict()["growth"]["rss"]["mb_per_24h"] == pytest.approx(1_000, rel=0.03)
    assert verdict.notes == ("no samples for 2.0 h; taken for a straight line",)


def test_grid_is_regular_and_keeps_what_is_retained():
    bursts = Series(name="", times_s=[0, 60, 120, 121, 180, 240, 360], rss_bytes=[5, 9, 9, 1, 5, 6, 8])

    assert on_grid(bursts).step_s == 60
    assert on_grid(bursts).rss_bytes == [5, 9, 1, 5, 6, 7, 8]


def test_many_samples_are_thinned():
    assert len(on_grid(sampled(0, every_s=5)).rss_bytes) == 1_440


def test_restart_parts_the_series():
    series = joined(sampled(2_000, hours=10), sampled(2_000, hours=10, seed=2), sampled(2_000, hours=4, seed=3))

    assert restarts(series) == [600, 1_200]
    assert [outcome(part) for part in segments(series)] == ["leak", "leak", "leak"]


STEADY = {
    "noise": lambda i: 200e6 + (i % 7) * 2e6,
    "a cache emptied to half": lambda i: 200e6 + (i % 400) * 0.2e6,
    "freed at the start": lambda i: 400e6 if i < 20 else 250e6,
}


@pytest.mark.parametrize("shape", STEADY)
def test_what_falls_less_is_no_restart(shape):
    series = Series(name="", times_s=range(1_440), rss_bytes=[STEADY[shape](i) for i in range(1_440)])

    assert restarts(series) == []


@pytest.fixture
def run(tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Run a command in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run_command


def write_csv(series: Series, path: Path, heading: str = "time,rss_bytes\n") -> Path:
    rows = zip(series.times_s, series.rss_bytes, strict=True)
    path.write_text(heading + "".join(f"{time:.3f},{size:.0f}\n" for time, size in rows), encoding="utf-8")
    return path


def prometheus_answer(*found: Series) -> dict:
    """What `query_range` answers for the runbook's metric."""
    results = [
        {
            "metric": {"__name__": "process_resident_memory_bytes", "job": "agente-api", "instance": series.name},
            "values": [[time, str(size)] for time, size in zip(series.times_s, series.rss_bytes, strict=True)],
        }
        for series in found
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": results}}


def test_analyze_csv(run, tmp_path):
    code, out, err = run("analyze", write_csv(sampled(1_000), tmp_path / "rss.csv"))

    assert (code, err) == (1, "")
    assert "1 series checked: 1 leak" in out
    assert "LEAK: grows by 1,000 MB/24h (99 % interval" in out
    assert "1,440 samples, one every 1 min; judged on 24 h" in out
    assert run("analyze", tmp_path / "rss.csv", "--max-growth", "2GB/24h")[0] == 0
    assert run("analyze", tmp_path / "rss.csv", "--max-growth", "1kB/request", "--traffic", "100/s")[0] == 0
    assert run("analyze", tmp_path / "rss.csv", "--max-growth", "50B/request", "--traffic", "100/s")[0] == 1


def test_analyze_prometheus(run, tmp_path):
    answer = prometheus_answer(sampled(0, name="a:8000"), joined(sampled(2_000, hours=12), sampled(2_000, hours=12)))
    (tmp_path / "answer.json").write_text(json.dumps(answer), encoding="utf-8")

    code, out, _ = run("analyze", "answer.json", "--json", "--html", "page.html")

    record = json.loads(out)
    jsonschema.validate(record, record_schema())
    assert code == 1
    assert [entry["verdict"] for entry in record["tests"]] == ["passed", "leak", "leak"]
    assert record["tests"][0]["nodeid"] == 'process_resident_memory_bytes{instance="a:8000",job="agente-api"}'
    assert record["tests"][1]["notes"][0].startswith("restarted at 2026-09-22 02:13 UTC: RSS fell from 1,199 MB to")
    assert record["tests"][1]["growth"]["live"] is None
    assert "<svg" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert json.loads(run("analyze", "answer.json", "--json", "--no-restarts")[1])["tests"][1]["nodeid"].endswith("}")


def test_short_part_is_said(run, tmp_path):
    series = joined(sampled(2_000, hours=12), sampled(2_000, hours=0.5))

    code, out, _ = run("analyze", write_csv(series, tmp_path / "rss.csv"))

    assert code == 1
    assert "rss.csv, from 2026-09-22 02:13 UTC: 30 samples; a growth rate needs 60" in " ".join(out.split())


FORMS = {
    "no heading": "{s},{b}\n",
    "milliseconds": "time,value\n{ms},{b}\n",
    "iso": "timestamp;memory\n{iso};{b}\n",
    "iso with zone": "timestamp\tmemory\n{iso}Z\t{b}\n",
    "unit in the name": "time,cpu,rss_mb\n{s},0.5,{mb}\n",
    "unit in the value": "time,rss\n{s},{b}B\n",
    "empty cell": "time,rss\n{s},{b}\n{s}.5,\n",
    "byte order mark": "\ufefftime,rss\n{s},{b}\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_csv(run, tmp_path, form):
    heading, newline, row = FORMS[form].partition("\n") if form != "no heading" else ("", "", FORMS[form])
    series = sampled(1_000)
    lines = []
    for time, size in zip(series.times_s, series.rss_bytes, strict=True):
        moment = datetime.datetime.fromtimestamp(time, datetime.UTC).replace(tzinfo=None)
        lines.append(
            row.format(s=round(time), ms=round(time * 1000), iso=moment.isoformat(), b=round(size), mb=size / 1e6)
        )
    (tmp_path / "rss.csv").write_text(heading + newline + "".join(lines), encoding="utf-8")

    code, out, err = run("analyze", "rss.csv", "--json")

    assert (code, err) == (1, "")
    assert json.loads(out)["tests"][0]["growth"]["rss"]["mb_per_24h"] == pytest.approx(1_000, rel=0.02)


MISTAKES = {
    ("analyze", "nothing.csv"): "error: nothing.csv: No such file or directory\n",
    ("analyze", "empty.csv"): "error: empty.csv has no two columns; it must hold a time and a size in bytes on each",
    ("analyze", "short.csv"): "error: nothing can be judged: short.csv: 3 samples; a growth rate needs 60\n",
    ("analyze", "words.csv"): "error: words.csv, line 2: '2' and 'many' are not a time and a size\n",
    ("analyze", "ragged.csv"): "error: ragged.csv, line 3 has 1 columns; it must have a time and a size\n",
    ("analyze", "small.csv"): "error: small.csv: small.csv is at most 512 bytes, less than any process has; give",
    ("analyze", "falling.csv"): "error: falling.csv: memory is negative in falling.csv; give resident bytes, not",
    ("analyze", "binary.csv"): "error: binary.csv is not UTF-8 text\n",
    ("analyze", "refused.json"): "error: refused.json: Prometheus answered 'parse error'\n",
    ("analyze", "instant.json"): "error: instant.json: the result is 'vector' and must be a 'matrix'; ask /api/v1/",
    ("analyze", "none.json"): "error: none.json: Prometheus found no series; check the metric's name and the time",
    ("analyze", "odd.json"): "error: odd.json is damaged: a result is not a metric with values\n",
    ("analyze", "other.json"): "error: other.json is not a record: it has no list 'tests'; --memcheck-json writes one",
    ("analyze", "cut.json"): "error: cut.json is not JSON, or is damaged: ",
    ("analyze", "out.json", "--traffic", "5/s"): "error: a record holds its own verdicts: --max-growth, ",
    ("analyze", "long.csv", "--max-growth", "5"): "error: max_growth: '5' is not a growth budget; write",
    ("analyze", "long.csv", "--max-growth", "5B/request"): "error: the budget 5B/request does not say how fast",
    ("analyze", "long.csv", "--max-growth", "5B/iteration"): "error: the budget 5B/iteration does not say how fast",
    ("analyze", "long.csv", "--html", "long.csv/page.html"): "error: ",  # the path is whole, and so is the reason
    ("compare", "out.json", "cut.json"): "error: cut.json is not JSON, or is damaged: ",
    ("compare", "out.json", "out.json", "--fail", "10"): "error: '10' is not a percentage; write it like '10%'\n",
    ("compare", "out.json", "newer.json"): "error: newer.json has schema 9, and this pytest-memleak reads up to 1;",
    ("merge", "out.json", "newer.json"): "error: newer.json has schema 9, and this pytest-memleak reads up to 1;",
    ("merge", "binary.csv"): "error: binary.csv is not UTF-8 text\n",
    ("alerts", "--format", "prometheus", "--rootdir", "nowhere"): "error: --rootdir: nowhere is not a directory\n",
    ("alerts", "--format", "prometheus", "--max-growth", "5B/request"): "error: the budget 5B/request is per request:",
}
FILES = {
    "empty.csv": b"",
    "short.csv": b"1,200e6\n2,200e6\n3,200e6\n",
    "words.csv": b"1,200e6\n2,many\n",
    "ragged.csv": b"1,200e6\n2,200e6\n3\n",
    "small.csv": b"1,512\n2,500\n",
    "falling.csv": b"1,200e6\n2,-5\n",
    "binary.csv": b"\xff\xfe\x00",
    "refused.json": b'{"status": "error", "errorType": "bad_data", "error": "parse error"}',
    "instant.json": b'{"status": "success", "data": {"resultType": "vector", "result": []}}',
    "none.json": b'{"status": "success", "data": {"resultType": "matrix", "result": []}}',
    "odd.json": b'{"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [3]}]}}',
    "other.json": b'{"benchmarks": []}',
    "cut.json": b'{"schema": 1, "tests": [{"nodeid"',
    "newer.json": b'{"schema": 9, "tests": []}',
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_every_mistake_is_one_sentence(run, tmp_path, arguments):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    write_csv(sampled(0), tmp_path / "long.csv")
    (tmp_path / "out.json").write_text(json_record.dumps(fabricated.record(fabricated.entry())), encoding="utf-8")

    code, out, err = run(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith(MISTAKES[arguments])
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("nothing",), ("compare", "a"), ("alerts",), ("analyze", "a", "--nothing")])
def test_usage(run, arguments):
    code, _, err = run(*arguments)

    assert code == 2
    assert "python -m pytest_memleak" in err


def test_analyze_record_tells_it_again(run, tmp_path):
    leaking = fabricated.record(fabricated.entry(700_000), fabricated.entry(0, "passing"))
    (tmp_path / "out.json").write_text(json_record.dumps(leaking), encoding="utf-8")

    code, out, _ = run("analyze", "out.json", "--html", "page.html")

    assert code == 1
    assert "2 tests checked: 1 leak, 1 passed" in out
    assert (tmp_path / "page.html").is_file()
    assert json.loads(run("analyze", "out.json", "--json")[1])["tests"][0]["verdict"] == "leak"


def test_compare(run, tmp_path):
    for name, rate in {"old": 10_000, "same": 10_050, "new": 20_000}.items():
        record = fabricated.record(fabricated.entry(rate, "a", seed=rate, max_growth="1GB/h"))
        (tmp_path / f"{name}.json").write_text(json_record.dumps(record), encoding="utf-8")

    assert run("compare", "old.json", "same.json")[0] == 0
    assert run("compare", "new.json", "old.json")[0] == 0
    code, out, _ = run("compare", "old.json", "new.json", "--fail", "10%")
    assert code == 1
    assert out.startswith("Compared with the baseline 'old', which may be exceeded by 10 %: 0 unchanged, and\n")
    assert "regression: a: live grows by 2.0 kB per request, 1.0 kB in the baseline" in out
    assert run("compare", "old.json", "new.json", "--fail", "200%")[0] == 0
    assert json.loads(run("compare", "old.json", "new.json", "--json")[1])["tests"][0]["status"] == "regression"


def test_merge(run, tmp_path):
    for name, rate in {"one": 0, "two": 700_000}.items():
        record = fabricated.record(fabricated.entry(rate, f"test_{name}"))
        (tmp_path / f"{name}.json").write_text(json_record.dumps(record), encoding="utf-8")

    assert run("merge", "one.json")[0] == 0
    code, out, _ = run("merge", "one.json", "two.json", "--output", "all.json", "--html", "all.html")

    assert code == 1
    assert "2 tests checked: 1 leak, 1 passed" in out
    merged = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert [entry["nodeid"] for entry in merged["tests"]] == ["test_one", "test_two"]
    assert json.loads(run("merge", "one.json", "two.json", "--json")[1]) == merged


CONFIGURATION = """
[tool.pytest]
memleak_max_growth = "64B/request"
memleak_traffic = "50/s"
memleak_memory_limit = "1GiB"
"""


def test_alerts_have_the_projects_numbers(run, tmp_path):
    (tmp_path / "pyproject.toml").write_text(CONFIGURATION, encoding="utf-8")

    code, out, _ = run("alerts", "--format", "prometheus", "--selector", 'job="agente-api"', "--json")

    rules = {rule["alert"]: rule["expr"] for rule in json.loads(out)["groups"][0]["rules"]}
    assert code == 0
    series = 'process_resident_memory_bytes{job="agente-api"}'
    assert rules == {
        "MemoryHigh": f"{series} > {round(0.8 * 2**30)}",
        "MemoryCritical": f"{series} > {round(0.9 * 2**30)}",
        "MemoryGrowth": f"deriv({series}[6h]) * 3600 > {64 * 50 * 3600}",
    }


def test_alerts_for_azure(run, tmp_path):
    code, out, _ = run("alerts", "--format", "azure", "--memory-limit", "2GiB")

    template = json.loads(out)
    high, critical, growth = (rule["properties"] for rule in template["resources"])
    assert code == 0
    assert [rule["type"].rpartition("/")[2] for rule in template["resources"]] == [
        "metricAlerts",
        "metricAlerts",
        "scheduledQueryRules",
    ]
    assert [rule["criteria"]["allOf"][0]["threshold"] for rule in (high, critical, growth)] == [
        1_717_986_918,
        1_932_735_283,
        20_833_333,
    ]
    used = json.dumps(template["resources"])
    assert all(f"parameters('{name}')" in used for name in template["parameters"])


@pytest.fixture
def promtool(tmp_path) -> Callable[..., str]:
    """Run promtool, which must find nothing wrong."""
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")

    def check(*arguments: str) -> str:
        done = subprocess.run([path, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return check


def alert_test(mb_per_minute: float, start_mb: float, expected: list[str]) -> str:
    """A unit test for promtool: what fires after ten hours."""
    series = 'process_resident_memory_bytes{job="api",instance="a:8000"}'
    values = f"{start_mb * 1e6:.0f}+{mb_per_minute * 1e6:.0f}x600"
    checks = "\n".join(
        f"      - eval_time: 10h\n        alertname: {name}\n        exp_alerts: {_alerts(name, name in expected)}"
        for name in ("MemoryHigh", "MemoryCritical", "MemoryGrowth")
    )
    return (
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n"
        f"      - series: '{series}'\n        values: '{values}'\n    alert_rule_test:\n{checks}\n"
    )


def _alerts(name: str, fires: bool) -> str:
    severity = "critical" if name == "MemoryCritical" else "warning"
    return f'[{{exp_labels: {{severity: {severity}, job: api, instance: "a:8000"}}}}]' if fires else "[]"


PRODUCTION = {
    "quiet": (0, 500, []),
    "grows within the budget": (0.1, 500, []),
    "grows above the budget": (0.7, 500, ["MemoryGrowth"]),
    "near its limit": (0, 1_800, ["MemoryHigh"]),
    "at its limit": (0, 2_000, ["MemoryHigh", "MemoryCritical"]),
}


@pytest.mark.parametrize("case", PRODUCTION)
def test_prometheus_fires_as_it_should(run, promtool, tmp_path, case):
    rules = run("alerts", "--format", "prometheus", "--selector", 'job="api"', "--memory-limit", "2GiB")[1]
    # promtool compares annotations too; what they say is no part of when a rule fires.
    without = "\n".join(
        line
        for line in rules.splitlines()
        if line.strip().split(":")[0] not in ("annotations", "summary", "description")
    )
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    assert "SUCCESS: 3 rules found" in promtool("check", "rules", "rules.yml")
    (tmp_path / "rules.yml").write_text(without, encoding="utf-8")
    (tmp_path / "test.yml").write_text(alert_test(*PRODUCTION[case]), encoding="utf-8")

    assert "SUCCESS" in promtool("test", "rules", "test.yml")


def test_configuration_that_cannot_be_read(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.pytest]\nmemleak_max_growth = "lots"\n', encoding="utf-8")
    command = [sys.executable, "-m", "pytest_memleak", "alerts", "--format", "prometheus"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert "memleak_max_growth: 'lots' is not a growth budget" in done.stderr
    assert "Traceback" not in done.stderr


def test_reader_that_closes_early(tmp_path):
    write_csv(sampled(1_000), tmp_path / "rss.csv")
    command = f"{sys.executable} -m pytest_memleak analyze rss.csv --json | head -c 10"

    done = subprocess.run(command, cwd=tmp_path, shell=True, capture_output=True, text=True, check=False)

    assert (len(done.stdout), done.stderr) == (10, "")


@pytest.mark.parametrize("name", fabricated.HOSTILE)
def test_hostile_text(run, tmp_path, name):
    hostile = fabricated.HOSTILE[name]
    entry = fabricated.entry(700_000, hostile, text=hostile)
    (tmp_path / "out.json").write_text(json_record.dumps(fabricated.record(entry)), encoding="utf-8")
    answer = prometheus_answer(sampled(0, hours=2, name=hostile))
    (tmp_path / "answer.json").write_text(json.dumps(answer), encoding="utf-8")

    for file in ("out.json", "answer.json"):
        _, out, err = run("analyze", file)
        assert err == ""
        assert all(line.isprintable() and len(line) <= 100 for line in out.splitlines())
