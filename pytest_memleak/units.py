"""Sizes, durations, growth budgets and traffic: text to numbers and back. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_SIZES = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_SECONDS = {
    "ms": 0.001,
    "s": 1, "sec": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip
_QUANTITY = re.compile(r"\s*(\d+(?:[_,]\d+)*(?:\.\d+)?(?:e[+-]?\d+)?)\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)


class UnitError(ValueError):
    """A text that is not the quantity it should be; the message says how to write it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much memory may grow: `size_bytes` per `per_s` seconds, per iteration or per request.

    Exactly one of `per_s`, ``per == "iteration"`` and ``per == "request"`` applies; `text` is what the
    user wrote and what reports show.
    """

    size_bytes: float
    per: str
    per_s: float | None
    text: str

    def bytes_per_iteration(
        self, *, step_s: float, requests_per_iteration: float, traffic_per_s: float | None
    ) -> float:
        """The budget of one iteration in bytes.

        Args:
            step_s: simulated seconds an iteration stands for.
            requests_per_iteration: requests the test sends in one iteration.
            traffic_per_s: requests per second in production; then one request of the test stands for
                ``1 / traffic_per_s`` seconds of production.
        """
        if self.per == "iteration":
            return self.size_bytes
        if self.per == "request":
            return self.size_bytes * requests_per_iteration
        assert self.per_s is not None
        stands_for_s = step_s
        if traffic_per_s and requests_per_iteration:  # without requests there is nothing to scale by
            stands_for_s = requests_per_iteration / traffic_per_s
        return self.size_bytes * stands_for_s / self.per_s


def _quantity(text: object, units: dict[str, float], default_unit: str | None) -> float | None:
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return None
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        return None
    unit = match[2].lower() or default_unit
    if unit is None or unit not in units:
        return None
    value = float(re.sub("[_,]", "", match[1])) * units[unit]
    return value if math.isfinite(value) else None


def parse_size(text: object) -> int:
    """Bytes in a size such as ``"512MB"``, ``"2GiB"`` or a plain number of bytes.

    Raises:
        UnitError: when `text` is not a positive size.
    """
    value = _quantity(text, dict(_SIZES), "b")
    if value is None or value < 1:
        raise UnitError(f"{text!r} is not a size; write a number with B, kB, MB, GB, KiB, MiB or GiB, like '512MB'")
    return round(value)


def parse_duration(text: object) -> float:
    """Seconds in a duration such as ``"24h"``, ``"1min"`` or ``"0.5s"``; a plain number is seconds.

    Raises:
        UnitError: when `text` is not a positive duration.
    """
    value = _quantity(text, _SECONDS, "s")
    if value is None or value <= 0:
        raise UnitError(f"{text!r} is not a duration; write a number with s, min, h or d, like '24h'")
    return value


def parse_budget(text: object) -> Budget:
    """The growth budget in ``<size>/<per>``, e.g. ``"500MB/24h"`` or ``"64B/request"``.

    Raises:
        UnitError: when `text` is not a growth budget.
    """
    size_text, slash, per = str(text).partition("/")
    per = per.strip().lower()
    size = _quantity(size_text, dict(_SIZES), None)
    if isinstance(text, str) and slash and size is not None and size > 0:
        if per in ("iteration", "request"):
            return Budget(size, per, None, text.strip())
        per_s = _quantity(per if per[:1].isdigit() else f"1{per}", _SECONDS, None)
        if per_s:
            return Budget(size, "time", per_s, text.strip())
    raise UnitError(
        f"{text!r} is not a growth budget; write <size>/<per> with per = s, min, h, 24h, day, iteration or "
        "request, like '500MB/24h' or '64B/request'"
    )


def parse_traffic(text: object) -> float:
    """Requests per second in a traffic such as ``"50/s"`` or ``"600/min"``.

    Raises:
        UnitError: when `text` is not a request rate.
    """
    count, slash, per = str(text).partition("/")
    per = per.strip().lower()
    number = _quantity(count, {"": 1}, "")
    per_s = _quantity(per if per[:1].isdigit() else f"1{per}", _SECONDS, None) if slash else None
    if not isinstance(text, str) or not number or not per_s:
        raise UnitError(
            f"{text!r} is not a request rate; write <number>/<per> with per = s, min, h or day, like '50/s'"
        )
    return number / per_s


def parse_percent(text: object) -> float:
    """The share in a percentage such as ``"10%"``: 0.1.

    Raises:
        UnitError: when `text` is not a percentage.
    """
    value = _quantity(text[:-1], {"": 1}, "") if isinstance(text, str) and text.endswith("%") else None
    if value is None:
        raise UnitError(f"{text!r} is not a percentage; write it like '10%'")
    return value / 100


def format_bytes(value: float) -> str:
    """A size for people: ``"712 B"``, ``"34.7 kB"``, ``"1,204 MB"`` (powers of 1,000, as the budgets)."""
    for unit, scale in (("MB", 10**6), ("kB", 10**3)):
        # 999.95 kB would print as "1000.0 kB"
        if abs(value) >= scale * 0.9995:
            scaled = value / scale
            return f"{scaled:,.0f} {unit}" if abs(scaled) >= 1000 else f"{scaled:.1f} {unit}"
    return f"{value:.0f} B"


def format_duration(seconds: float) -> str:
    """A duration for people: ``"45 s"``, ``"30 min"``, ``"5 h"``, ``"2.5 days"``."""
    for unit, scale, least in (("days", 86400, 48), ("h", 3600, 1), ("min", 60, 1)):
        if seconds >= (least * 3600 if unit == "days" else scale):
            value = seconds / scale
            return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
    return f"{seconds:.3g} s"
