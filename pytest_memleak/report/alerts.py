"""Alert rules for production from the budget and memory limit that CI checks with. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_memleak.settings import Settings, SettingsError
from pytest_memleak.units import format_bytes

DEFAULT_LIMIT_BYTES = 2 * 2**30
_WARNING, _CRITICAL = 0.8, 0.9
"""Shares of the memory limit."""
_WINDOW_HOURS = 6
"""What a growth is fitted over: shorter ones take every cache that fills for a leak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The numbers that the rules of every format share.

    Args:
        limit_bytes: what the container may use.
        growth_bytes_per_hour: the growth budget.
        budget: as the user wrote it.
        note: how the numbers came about, for the head of the rules.
    """

    limit_bytes: int
    growth_bytes_per_hour: int
    budget: str
    note: str

    @property
    def warning_bytes(self) -> int:
        return round(self.limit_bytes * _WARNING)

    @property
    def critical_bytes(self) -> int:
        return round(self.limit_bytes * _CRITICAL)


def levels(settings: Settings) -> Levels:
    """The alert levels of a project's settings.

    Raises:
        SettingsError: for a budget per request without the traffic that makes it a rate over time.
    """
    if settings.max_growth.per == "request" and not settings.traffic_per_s:
        raise SettingsError(
            f"the budget {settings.max_growth.text} is per request: set memleak_traffic or --traffic, like 50/s, to "
            "make it a growth per hour"
        )
    each = 1.0 if settings.max_growth.per == "request" else 0.0
    per_day = settings.budget_bytes_per_iteration(each) * settings.iterations_per_24h(each)
    limit = settings.memory_limit_bytes or DEFAULT_LIMIT_BYTES
    source = "memory_limit" if settings.memory_limit_bytes else "memory_limit is not set: 2GiB"
    return Levels(
        limit_bytes=limit,
        growth_bytes_per_hour=round(per_day / 24),
        budget=settings.max_growth.text,
        note=f"max_growth {settings.max_growth.text}, {source} ({limit:,} bytes)",
    )


def prometheus(given: Levels, metric: str, selector: str) -> dict[str, Any]:
    """The rule group, as `promtool check rules` takes it.

    Args:
        given: the levels.
        metric: resident bytes of the process.
        selector: label matchers that choose the service, like ``job="api"``; empty for every process.
    """
    series = f"{metric}{{{selector}}}" if selector else metric
    limit = format_bytes(given.limit_bytes)
    near_limit = "Memory of {{ $labels.instance }} is above %d %% of its limit of " + limit
    # deriv and not rate: memory is a gauge, and rate takes each fall for a counter's reset.
    growth = f"deriv({series}[{_WINDOW_HOURS}h]) * 3600"
    return {
        "groups": [
            {
                "name": "memory",
                "rules": [
                    _rule("MemoryHigh", f"{series} > {given.warning_bytes}", "5m", "warning", near_limit % 80),
                    _rule("MemoryCritical", f"{series} > {given.critical_bytes}", "2m", "critical", near_limit % 90),
                    _rule(
                        "MemoryGrowth",
                        f"{growth} > {given.growth_bytes_per_hour}",
                        "1h",
                        "warning",
                        f"Memory of {{{{ $labels.instance }}}} grows by more than {given.budget}",
                        "It grows by {{ $value | humanize }}B an hour; the budget is "
                        f"{format_bytes(given.growth_bytes_per_hour)} an hour.",
                    ),
                ],
            }
        ]
    }


def _rule(name: str, expression: str, holds: str, severity: str, summary: str, more: str = "") -> dict[str, Any]:
    description = more or "It is {{ $value | humanize1024 }}B now."
    return {
        "alert": name,
        "expr": expression,
        "for": holds,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description},
    }


def as_yaml(rules: Mapping[str, Any], note: str) -> str:
    """The rules as YAML with a comment at the head; every text is quoted as JSON, which YAML includes."""
    return f"# Written by pytest-memleak: {note}\n" + "\n".join(_yaml(rules, "")) + "\n"


def _yaml(value: Any, indent: str) -> list[str]:
    if isinstance(value, Mapping):
        lines = []
        for key, each in value.items():
            nested = _yaml(each, indent + "  ")
            lines += (
                [f"{indent}{key}:", *nested] if isinstance(each, Mapping | list) else [f"{indent}{key}: {nested[0]}"]
            )
        return lines
    if isinstance(value, list):
        lines = []
        for each in value:
            first, *rest = _yaml(each, indent + "  ")
            lines += [f"{indent}- {first.strip()}", *rest]
        return lines
    return [json.dumps(value, ensure_ascii=False)]


def azure(given: Levels) -> dict[str, Any]:
    """A deployment template with two metric alerts and one log alert for an Azure Container App.

    Metric alerts know no growth, so that rule fits a line to the metric in Log Analytics, where a diagnostic
    setting of the app must send it.
    """
    growth_query = (
        "AzureMetrics | where MetricName == 'WorkingSetBytes' "
        f"| make-series bytes = avg(Average) default = real(null) on TimeGenerated from ago({_WINDOW_HOURS}h) to now() "
        "step 15m by _ResourceId "
        "| extend bytes = series_fill_linear(bytes) | extend (rsquare, slope) = series_fit_line(bytes) "
        "| project _ResourceId, bytes_per_hour = slope * 4"
    )
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "metadata": {"description": f"Written by pytest-memleak: {given.note}"},
        "parameters": {
            name: {"type": "string", "metadata": {"description": text}}
            for name, text in {
                "containerAppId": "resource id of the container app",
                "workspaceId": "resource id of the Log Analytics workspace that its metrics are sent to",
                "actionGroupId": "resource id of the action group to notify",
            }.items()
        },
        "resources": [
            _metric_alert("MemoryHigh", given.warning_bytes, 2),
            _metric_alert("MemoryCritical", given.critical_bytes, 1),
            _log_alert("MemoryGrowth", growth_query, given.growth_bytes_per_hour, 2),
        ],
    }


def _metric_alert(name: str, threshold_bytes: int, severity: int) -> dict[str, Any]:
    criterion = {
        "criterionType": "StaticThresholdCriterion",
        "name": name,
        "metricNamespace": "microsoft.app/containerapps",
        "metricName": "WorkingSetBytes",
        "operator": "GreaterThan",
        "threshold": threshold_bytes,
        "timeAggregation": "Average",
        "dimensions": [{"name": "revisionName", "operator": "Include", "values": ["*"]}],
    }
    return {
        "type": "Microsoft.Insights/metricAlerts",
        "apiVersion": "2018-03-01",
        "name": name,
        "location": "global",
        "properties": {
            "severity": severity,
            "enabled": True,
            "autoMitigate": True,
            "scopes": ["[parameters('containerAppId')]"],
            "evaluationFrequency": "PT1M",
            "windowSize": "PT5M",
            "criteria": {
                "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                "allOf": [criterion],
            },
            "actions": [{"actionGroupId": "[parameters('actionGroupId')]"}],
        },
    }


def _log_alert(name: str, query: str, threshold_bytes: int, severity: int) -> dict[str, Any]:
    criterion = {
        "query": query,
        "metricMeasureColumn": "bytes_per_hour",
        "timeAggregation": "Maximum",
        "resourceIdColumn": "_ResourceId",
        "operator": "GreaterThan",
        "threshold": threshold_bytes,
        "failingPeriods": {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1},
    }
    return {
        "type": "Microsoft.Insights/scheduledQueryRules",
        "apiVersion": "2021-08-01",
        "name": name,
        "location": "[resourceGroup().location]",
        "properties": {
            "severity": severity,
            "enabled": True,
            "autoMitigate": True,
            "scopes": ["[parameters('workspaceId')]"],
            "evaluationFrequency": "PT15M",
            "windowSize": f"PT{_WINDOW_HOURS}H",
            "criteria": {"allOf": [criterion]},
            "actions": {"actionGroups": ["[parameters('actionGroupId')]"]},
        },
    }
