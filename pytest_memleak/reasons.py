"""Why a test ended, in one line."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def in_one_line(error: BaseException) -> str:
    """Type and message of an exception, also where its own `str` fails."""
    # A syntax error begins with its place, indented; notes come last.
    lines = (line for line in traceback.format_exception_only(error) if not line.startswith(" "))
    return next(lines).partition("\n")[0].removesuffix(": ")


def reason_of(report: pytest.TestReport) -> str:
    """Type and message of what failed, of `pytest.fail` the message; where pytest tells no exception, its last line."""
    if crash := getattr(report.longrepr, "reprcrash", None):
        return str(crash.message).partition("\n")[0].removeprefix("Failed: ")
    return report.longreprtext.strip().rpartition("\n")[2]
