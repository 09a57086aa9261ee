"""Keeps what pytest records for its own reports from growing with the iterations.

pytest keeps every log record, warning and printed line of a test until the test is over. Repeated 1,440
times that would read as the app's growth, or drown the report of a failure in a day of logs, so only the last
iteration's is kept.
"""

from __future__ import annotations

import io
import logging
import sys
import warnings
from types import TracebackType
from typing import IO, Any, Self

_MOST_WARNINGS = 50


class CaughtWarnings:
    """Takes the warnings of the app as they come; use as a context manager around the run.

    At its end the first warning of each place goes where it would have gone without a check.

    Args:
        active: off leaves warnings to the test, which reads them itself (`recwarn`).
    """

    def __init__(self, *, active: bool = True) -> None:
        self._catching = warnings.catch_warnings(record=True) if active else None
        self._caught: list[warnings.WarningMessage] = []
        self._first: dict[tuple[type[Warning], str, int], Warning | str] = {}

    def __enter__(self) -> Self:
        if self._catching:
            caught = self._catching.__enter__()
            assert caught is not None  # empty, and the very list that fills
            self._caught = caught
            # The default action remembers every text in the registry of the module that warns.
            warnings.simplefilter("always", append=True)
            if not any(
                action == "error" and issubclass(ResourceWarning, kind) for action, _, kind, *_ in warnings.filters
            ):
                warnings.simplefilter("always", ResourceWarning)  # ignored by default, and what is looked for
        return self

    def drain(self) -> list[tuple[type[Warning], str, str, int]]:
        """The warnings since the last call: category, text, file, line."""
        drained = []
        for warning in self._caught:
            place = (warning.category, warning.filename, warning.lineno)
            if place not in self._first and len(self._first) < _MOST_WARNINGS:
                self._first[place] = warning.message
            drained.append((warning.category, str(warning.message), warning.filename, warning.lineno))
        self._caught.clear()
        return drained

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._catching:
            self.drain()
            self._catching.__exit__(None, None, None)
            for (category, filename, line), message in self._first.items():
                warnings.warn_explicit(message, category, filename, line)


class PytestRecordings:
    """Cuts pytest's recordings back before every iteration."""

    def __init__(self) -> None:
        handlers: list[Any] = [h for h in logging.getLogger().handlers if type(h).__name__ == "LogCaptureHandler"]
        self._logs = [(handler, len(handler.records), handler.stream.tell()) for handler in handlers]
        self._printed = [
            (text, text.buffer, text.buffer.tell())
            for text in (sys.stdout, sys.stderr)
            # In memory, or pytest's temporary file; never what the user has redirected standard output to.
            if isinstance(getattr(text, "buffer", None), io.BytesIO) or type(text).__name__ == "EncodedFile"
        ]

    def before_iteration(self) -> None:
        """Forget what the last iteration logged and printed."""
        for handler, records, position in self._logs:
            del handler.records[records:]
            _cut(handler.stream, position)
        for text, stream, position in self._printed:
            text.flush()
            _cut(stream, position)
        # Each line warns once; a changed filter makes it warn in this iteration again, for a test that counts on it.
        warnings.simplefilter("always", append=True)

    def after_iteration(self, done: int, bytes_per_iteration: float) -> None:
        """Nothing: a failing iteration keeps its own log for the report."""


def _cut(stream: IO[Any], position: int) -> None:
    stream.truncate(position)  # a stream that the test has cleared is shorter already
    stream.seek(0, io.SEEK_END)
