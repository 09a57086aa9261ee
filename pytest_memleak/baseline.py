"""Baselines: the growth of an earlier run, saved as JSON that reads well in a diff, and compared with intervals."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import hypot
from pathlib import Path
from typing import Any, Literal

from pytest_memleak.model import Finding
from pytest_memleak.report.record import RecordError, check_schema, loads, parse, portable
from pytest_memleak.units import format_bytes
from pytest_memleak.verdict import Verdict

SCHEMA = 1
_KIND = "pytest-memleak baseline"
_ALIKE = 0.8
"""How much of two names must be the same for one test to be taken for the other, renamed."""

# What a quiet app's growth differs by from run to run, which the interval within one run does not know.
_FLOOR = {"live": (512.0, 16.0), "rss": (4_000.0, 100.0)}
"""Bytes an iteration and bytes a request, by sensor."""

_FIELDS = {"rate": "bytes", "low": "low", "high": "high"}
"""What a rate is called in the file."""

Status = Literal["regression", "grown", "unchanged", "improved", "new", "gone", "renamed", "not_comparable"]


class BaselineError(ValueError):
    """A baseline cannot be read; the message says which file and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Bytes that stay for each request (or iteration), with the 99 % interval."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """The growth of one test in one run.

    Args:
        per: what the rates are per.
        sensor: the one that decided.
        rates: by sensor.
        requests_per_iteration: 1 where `per` is the iteration.
    """

    per: Literal["request", "iteration"]
    sensor: str
    rates: Mapping[str, Rate]
    requests_per_iteration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The growth of every test of an earlier run, by node id."""

    name: str
    tests: Mapping[str, Tested]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How a test compares, in a word and a sentence."""

    status: Status
    summary: str


def load(path: Path) -> Baseline:
    """Read a baseline, or take the JSON record of a run for one. The file is never changed.

    Raises:
        BaselineError: for a file that cannot be read, is damaged, or was written by a newer version.
    """
    try:
        text = path.read_text(encoding="utf-8")
        saved = parse(text, str(path))
        if isinstance(saved, dict) and saved.get("kind") == _KIND:
            check_schema(saved, str(path), SCHEMA)
            return _loaded(saved, path)
        return from_record(loads(text, str(path)), path.stem)
    except RecordError as error:
        raise BaselineError(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BaselineError(f"{path} cannot be read: {reason}") from None


def _loaded(saved: Mapping[str, Any], path: Path) -> Baseline:
    if not isinstance(saved.get("tests"), dict):
        raise BaselineError(f"{path} is damaged: it has no tests by name")
    tests = {}
    for nodeid, row in saved["tests"].items():
        try:
            rates = {
                sensor: Rate(**{field: _number(row[sensor][key]) for field, key in _FIELDS.items()})
                for sensor in _FLOOR
                if sensor in row
            }
            if row["per"] not in ("request", "iteration") or row["sensor"] not in rates:
                raise ValueError
            tests[nodeid] = Tested(
                per=row["per"],
                sensor=row["sensor"],
                rates=rates,
                requests_per_iteration=_number(row["requests_per_iteration"]),
            )
            if tests[nodeid].requests_per_iteration <= 0:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise BaselineError(f"{path} is damaged: the entry of {nodeid!r} is not the growth of a test") from None
    return Baseline(name=path.stem, tests=tests)


def _number(value: object) -> float:
    """A number of the JSON, of which `parse` has seen that it is finite; a text is none."""
    if not isinstance(value, int | float):
        raise TypeError
    return float(value)


def from_record(record: Mapping[str, Any], name: str) -> Baseline:
    """The growths in a record; a test that measured none is left out."""
    found = {portable(entry["nodeid"]): _tested(entry) for entry in record["tests"]}
    return Baseline(name=name, tests={nodeid: tested for nodeid, tested in found.items() if tested})


def dumps(record: Mapping[str, Any]) -> str:
    """The baseline of a run as JSON: sorted, rounded, and without what changes from run to run."""
    tests = {}
    for nodeid, tested in sorted(from_record(record, "").tests.items()):
        rates = {
            sensor: {"bytes": round(rate.rate, 1), "low": round(rate.low, 1), "high": round(rate.high, 1)}
            for sensor, rate in tested.rates.items()
        }
        each = round(tested.requests_per_iteration, 2)
        tests[nodeid] = {"per": tested.per, "requests_per_iteration": each, "sensor": tested.sensor, **rates}
    return json.dumps({"kind": _KIND, "schema": SCHEMA, "tests": tests}, ensure_ascii=False, indent=2) + "\n"


def _tested(entry: Mapping[str, Any]) -> Tested | None:
    growth, iterations, requests = entry["growth"], entry["iterations"], entry["requests"]
    sensor = growth["sensor"]
    if not (sensor and iterations) or entry["verdict"] == "error":
        return None
    scale = iterations / requests if requests else 1.0
    rates = {
        name: Rate(
            rate=found["bytes_per_iteration"] * scale,
            low=found["low_bytes_per_iteration"] * scale,
            high=found["high_bytes_per_iteration"] * scale,
        )
        for name in _FLOOR
        if (found := growth[name]) and None not in (found["low_bytes_per_iteration"], found["high_bytes_per_iteration"])
    }
    return Tested(
        per="request" if requests else "iteration", sensor=sensor, rates=rates, requests_per_iteration=1 / scale
    )


def compare(old: Tested | None, new: Tested | None, fail_over: float | None = None) -> Compared:
    """Compare the growth of a test with what it was.

    Args:
        old, new: None where nothing was measured.
        fail_over: the growth that is a regression, as a share of the old one; None knows no regression.

    Returns:
        ``grown`` and ``improved`` only where the 99 % interval of the difference is clear of what growth
        differs by from run to run.
    """
    if old is None or new is None:
        return Compared(status="not_comparable", summary=f"nothing was measured {'in the baseline' if new else 'now'}")
    if old.per != new.per:
        return Compared(status="not_comparable", summary=f"measured per {new.per} now, per {old.per} in the baseline")
    sensor = next((name for name in (new.sensor, *new.rates) if name in old.rates and name in new.rates), None)
    if sensor is None:
        return Compared(status="not_comparable", summary="the two runs have no sensor in common")
    before, now = old.rates[sensor], new.rates[sensor]
    # Memory that shrank was still settling: that it no longer does is no growth.
    difference = now.rate - max(before.rate, 0.0)
    margin = hypot(now.high - now.low, before.high - before.low) / 2
    per_iteration, per_request = _FLOOR[sensor]
    floor = per_iteration if new.per == "iteration" else per_request + per_iteration / new.requests_per_iteration
    summary = (
        f"{sensor} grows by {format_bytes(now.rate)} per {new.per}, {format_bytes(before.rate)} in the baseline: "
        f"{format_bytes(abs(difference))} {'more' if difference > 0 else 'less'}, ± {format_bytes(margin)}"
    )
    status: Status = "unchanged"
    if difference + margin < -floor:
        status = "improved"
    elif difference - margin > floor:
        allowed = None if fail_over is None else fail_over * max(before.rate, 0.0)
        status = "regression" if allowed is not None and difference - margin > allowed else "grown"
    return Compared(status=status, summary=summary)


def judged(verdict: Verdict, nodeid: str, baseline: Baseline, fail_over: float | None) -> Verdict:
    """The verdict with what the baseline says; a regression makes it ``leak``."""
    old = baseline.tests.get(portable(nodeid))
    compared = compare(old, _tested(verdict.as_dict(nodeid)), fail_over)
    if compared.status not in ("regression", "grown"):
        return verdict
    fails = compared.status == "regression"
    summary = f"{compared.summary} (baseline {baseline.name!r})"
    finding = Finding(kind="baseline_regression", summary=summary, fails=fails)
    verdict = replace(verdict, findings=(*verdict.findings, finding))
    if fails and verdict.outcome != "leak":
        verdict = replace(verdict, outcome="leak", message=summary)
    return verdict


def compare_record(baseline: Baseline, record: Mapping[str, Any], fail_over: float | None) -> dict[str, Any]:
    """The comparison of a whole run, for the record: plain builtins.

    Args:
        baseline: what to compare with.
        record: of the run.
        fail_over: as in `compare`.
    """
    now = {portable(entry["nodeid"]): _tested(entry) for entry in record["tests"]}
    return compare_tests(baseline, now, fail_over)


def compare_tests(baseline: Baseline, now: Mapping[str, Tested | None], fail_over: float | None) -> dict[str, Any]:
    """The same for growths by node id; None where nothing was measured."""
    renamed = _renamed(baseline.tests, now)
    rows = []
    for nodeid, tested in now.items():
        if nodeid in baseline.tests:
            compared = compare(baseline.tests[nodeid], tested, fail_over)
        elif nodeid in renamed:
            compared = compare(baseline.tests[renamed[nodeid]], tested)
            summary = f"perhaps {renamed[nodeid]} of the baseline, renamed; then {compared.summary}"
            compared = Compared(status="renamed", summary=f"{summary}; save the baseline again")
        else:
            compared = Compared(status="new", summary="not in the baseline; save the baseline again to include it")
        rows.append((nodeid, compared))
    gone = baseline.tests.keys() - now.keys() - set(renamed.values())
    rows += [(nodeid, Compared(status="gone", summary="in the baseline, not checked now")) for nodeid in sorted(gone)]
    return {
        "name": baseline.name,
        "fail_over_percent": None if fail_over is None else round(fail_over * 100, 3),
        "tests": [{"nodeid": nodeid, "status": row.status, "summary": row.summary} for nodeid, row in rows],
    }


def _renamed(old: Mapping[str, Tested], new: Mapping[str, Tested | None]) -> dict[str, str]:
    """New node ids to those of the baseline that they were, as far as names tell: moved, or alike in one file."""
    gone = [nodeid for nodeid in old if nodeid not in new]
    found = {}
    for nodeid in [nodeid for nodeid in new if nodeid not in old]:
        place, _, name = nodeid.rpartition("::")
        moved = [other for other in gone if other.rpartition("::")[2] == name]
        beside = {other.rpartition("::")[2]: other for other in gone if other.rpartition("::")[0] == place}
        alike = [beside[other] for other in difflib.get_close_matches(name, beside, n=1, cutoff=_ALIKE)]
        if was := moved or alike:
            gone.remove(was[0])
            found[nodeid] = was[0]
    return found
