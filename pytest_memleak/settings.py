"""What one check is to do: every value validated, nothing of pytest. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pytest_memleak.model import Outcome
from pytest_memleak.units import (
    Budget,
    UnitError,
    parse_budget,
    parse_duration,
    parse_size,
    parse_traffic,
)

PROFILES = {"standard": (240, 1440), "quick": (120, 300), "soak": (480, 1440), "full": (1440, 1440)}
FEWEST_ITERATIONS = 60
MOST_ITERATIONS = 1_000_000
DEFAULTS: Mapping[str, object] = {
    "profile": "standard",
    "max_growth": "500MB/24h",
    "duration": None,
    "step": None,
    "traffic": None,
    "memory_limit": None,
    "max_memory": None,
    "inconclusive": "warn",
    "simulate_time": True,
    "resolution": 0,
    "explain": True,
    "trace": False,
    "allow_unclosed": (),
    "allow_errors": False,
    "isolate": False,
    "iteration_timeout": "60s",
}


class SettingsError(ValueError):
    """A value the user gave cannot be used; the message is one sentence with the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The validated settings of one check.

    Args:
        profile: the name of the profile that set the looks.
        max_growth: the growth budget.
        step_s: simulated seconds of one iteration.
        first_look: the iteration of the first look at the growth.
        last_look: the iteration of the last look, where the run ends.
        traffic_per_s: requests per second in production, or None.
        memory_limit_bytes: for the forecast; None means the cgroup's limit, else 2 GiB.
        max_memory_bytes: RSS that stops the run, or None.
        inconclusive: whether an inconclusive verdict only warns or fails.
        simulate_time: whether every clock the app can read advances with the iterations.
        resolution_s: simulated seconds; timers fire at multiples of it. 0 fires them exactly.
        explain: whether a leak is explained in extra iterations.
        trace: whether tracemalloc runs through the whole check.
        allow_unclosed: what may stay open: ``library.Class`` or ``path:line``, with wildcards.
        allow_errors: keep the verdict although more than half the requests failed.
        isolate: run the test in a fresh process.
        iteration_timeout_s: real seconds that one iteration may take.
    """

    profile: str
    max_growth: Budget
    step_s: float
    first_look: int
    last_look: int
    traffic_per_s: float | None
    memory_limit_bytes: int | None
    max_memory_bytes: int | None
    inconclusive: Literal["warn", "fail"]
    simulate_time: bool
    resolution_s: float
    explain: bool
    trace: bool
    allow_unclosed: tuple[str, ...]
    allow_errors: bool
    isolate: bool
    iteration_timeout_s: float

    @property
    def duration_s(self) -> float:
        """Simulated seconds of a complete run."""
        return self.last_look * self.step_s

    def budget_bytes_per_iteration(self, requests_per_iteration: float) -> float:
        """The growth budget of one iteration, in bytes."""
        return self.max_growth.bytes_per_iteration(
            step_s=self.step_s,
            requests_per_iteration=requests_per_iteration,
            traffic_per_s=self.traffic_per_s,
        )

    def iterations_per_24h(self, requests_per_iteration: float) -> float:
        """How many iterations a day of production stands for."""
        if self.traffic_per_s and requests_per_iteration:
            return self.traffic_per_s * 86_400 / requests_per_iteration
        return 86_400 / self.step_s

    def as_dict(self) -> dict[str, object]:
        """Plain builtins, for the record."""
        return {
            "profile": self.profile,
            "max_growth": self.max_growth.text,
            "duration_s": self.duration_s,
            "step_s": self.step_s,
            "first_look": self.first_look,
            "last_look": self.last_look,
            "traffic_per_s": self.traffic_per_s,
            "memory_limit_bytes": self.memory_limit_bytes,
            "max_memory_bytes": self.max_memory_bytes,
            "inconclusive": self.inconclusive,
            "simulate_time": self.simulate_time,
            "resolution_s": self.resolution_s,
            "explain": self.explain,
            "trace": self.trace,
            "allow_unclosed": list(self.allow_unclosed),
            "allow_errors": self.allow_errors,
            "isolate": self.isolate,
            "iteration_timeout_s": self.iteration_timeout_s,
        }

    def fails_test(self, outcome: Outcome) -> bool:
        """Whether a test with this verdict fails."""
        return outcome in ("leak", "error") or (outcome == "inconclusive" and self.inconclusive == "fail")


def validate(values: Mapping[str, object]) -> dict[str, Any]:
    """Check each given value alone and return the parsed ones.

    Args:
        values: setting name to raw value; None means "not given".

    Raises:
        SettingsError: for an unknown name or a value that is not of the setting's form.
    """
    unknown = sorted(set(values) - set(DEFAULTS))
    if unknown:
        raise SettingsError(f"memleak has no argument {unknown[0]!r}; it takes {', '.join(sorted(DEFAULTS))}")
    parsed: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue
        try:
            parsed[name] = _PARSERS[name](value)
        except UnitError as error:
            raise SettingsError(f"{name}: {error}") from None
    return parsed


def make_settings(values: Mapping[str, object]) -> Settings:
    """Settings from raw values over the defaults.

    Args:
        values: setting name (as in the marker) to raw value; None or absent means the default.

    Raises:
        SettingsError: for a value that cannot be used, or too short a run.
    """
    given = validate(values)
    resolved = {**validate(DEFAULTS), **given}
    first, last = PROFILES[resolved["profile"]]
    step_s = resolved.get("step", 60.0)
    if "duration" in given or "step" in given:
        duration_s = resolved.get("duration", 86_400.0)
        last = round(duration_s / step_s)
        if not FEWEST_ITERATIONS <= last <= MOST_ITERATIONS:
            raise SettingsError(
                f"duration / step is {last:,} iterations; a growth rate needs {FEWEST_ITERATIONS} to "
                f"{MOST_ITERATIONS:,}: change duration ({duration_s:g} s) or step ({step_s:g} s)"
            )
        first = min(first, last)
    return Settings(
        profile=resolved["profile"],
        max_growth=resolved["max_growth"],
        step_s=float(step_s),
        first_look=first,
        last_look=last,
        traffic_per_s=resolved.get("traffic"),
        memory_limit_bytes=resolved.get("memory_limit"),
        max_memory_bytes=resolved.get("max_memory"),
        inconclusive=resolved["inconclusive"],
        simulate_time=resolved["simulate_time"],
        resolution_s=resolved["resolution"],
        explain=resolved["explain"],
        trace=resolved["trace"],
        allow_unclosed=resolved["allow_unclosed"],
        allow_errors=resolved["allow_errors"],
        isolate=resolved["isolate"],
        iteration_timeout_s=resolved["iteration_timeout"],
    )


def _one_of(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in choices:
            raise UnitError(f"{value!r} is not one of {', '.join(choices)}")
        return str(value)

    return parse


def _boolean(value: object) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise UnitError(f"{value!r} is not true or false")


def _resolution(value: object) -> float:
    return 0.0 if value in (0, "0", "0s") else parse_duration(value)


def _patterns(value: object) -> tuple[str, ...]:
    patterns = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else (None,)
    if not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise UnitError(f"{value!r} is not a list of patterns like 'httpx.AsyncClient' or 'app/clients.py:12'")
    return patterns


_PARSERS: Mapping[str, Callable[[object], Any]] = {
    "profile": _one_of(*PROFILES),
    "max_growth": parse_budget,
    "duration": parse_duration,
    "step": parse_duration,
    "traffic": parse_traffic,
    "memory_limit": parse_size,
    "max_memory": parse_size,
    "inconclusive": _one_of("warn", "fail"),
    "simulate_time": _boolean,
    "resolution": _resolution,
    "explain": _boolean,
    "trace": _boolean,
    "allow_unclosed": _patterns,
    "allow_errors": _boolean,
    "isolate": _boolean,
    "iteration_timeout": parse_duration,
}
