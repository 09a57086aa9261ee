"""Why a test ended, in one line."""

from __future__ import annotations

import traceback

import pytest


def in_one_line(error: BaseException) -> str:
    """Type and message of an exception."""
    return traceback.format_exception_only(error)[0].partition("\n")[0]


def reason_of(report: pytest.TestReport) -> str:
    """Type and message of what failed, of `pytest.fail` the message; where pytest tells no exception, its last line."""
    if crash := getattr(report.longrepr, "reprcrash", None):
        return str(crash.message).partition("\n")[0].removeprefix("Failed: ")
    return report.longreprtext.strip().rpartition("\n")[2]
