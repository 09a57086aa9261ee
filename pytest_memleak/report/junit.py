"""The JUnit properties of one checked test. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREFIX = "memleak."


def properties(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The properties of a test's entry in the record, as text; what is unknown is left out."""
    growth = entry["growth"]
    decides = growth[growth["sensor"]] if growth["sensor"] else {}
    values = {
        "verdict": entry["verdict"],
        "growth_mb_per_24h": decides.get("mb_per_24h"),
        "growth_low_mb_per_24h": decides.get("low_mb_per_24h"),
        "growth_high_mb_per_24h": decides.get("high_mb_per_24h"),
        "budget_mb_per_24h": entry["budget_mb_per_24h"],
        "bytes_per_iteration": decides.get("bytes_per_iteration"),
        "bytes_per_request": decides.get("bytes_per_request"),
        "rss_start_mb": _mb(entry["rss"]["start_bytes"]),
        "rss_peak_mb": _mb(entry["rss"]["peak_bytes"]),
        "iterations": entry["iterations"],
        "simulated_hours": round(entry["simulated_s"] / 3600, 3),
        "requests": entry["requests"],
        "unclosed_clients": entry["unclosed_clients"],
        "severity": entry["severity"],
        "cause": entry["cause"],
        "top_line": entry["top_line"],
        "top_holder": entry["top_holder"],
        "rss_growth_mb_per_24h": (growth["rss"] or {}).get("mb_per_24h"),
        "live_growth_mb_per_24h": (growth["live"] or {}).get("mb_per_24h"),
    }
    return [(PREFIX + name, str(value)) for name, value in values.items() if value is not None]


def _mb(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else round(size_bytes / 1e6, 1)
