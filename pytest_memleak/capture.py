"""Keeps what pytest records for its own reports from growing with the iterations.

pytest keeps every log record, warning and (with `--capture=sys`) every printed line of a test until the
test is over. Repeated 1,440 times that would read as the app's growth, so only the last iteration's is kept.
"""

from __future__ import annotations

import io
import logging
import sys
import warnings
from types import TracebackType
from typing import IO, Any, Self

_MOST_WARNINGS = 50


class PytestRecordings:
    """Cuts pytest's recordings back before every iteration; use as a context manager around the run.

    Args:
        keep_warnings: leave warnings to the test, which reads them itself (`recwarn`).
    """

    def __init__(self, *, keep_warnings: bool = False) -> None:
        self._keep_warnings = keep_warnings
        self._seen: dict[tuple[type[Warning], str, int], warnings.WarningMessage] = {}

    def __enter__(self) -> Self:
        handlers: list[Any] = [h for h in logging.getLogger().handlers if type(h).__name__ == "LogCaptureHandler"]
        self._logs = [(handler, len(handler.records), handler.stream.tell()) for handler in handlers]
        self._printed = [
            (text, text.buffer, text.buffer.tell())
            for text in (sys.stdout, sys.stderr)
            if isinstance(getattr(text, "buffer", None), io.BytesIO)
        ]
        if not self._keep_warnings:
            self._catching = warnings.catch_warnings(record=True)
            self._caught = self._catching.__enter__() or []
            # The default action remembers every text in the warning module's registry.
            warnings.simplefilter("always", append=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keep_warnings:
            return
        self._note_warnings()
        self._catching.__exit__(None, None, None)
        for message in self._seen.values():
            warnings.showwarning(message.message, message.category, message.filename, message.lineno)

    def before_iteration(self) -> None:
        """Forget what the last iteration logged, printed and warned."""
        for handler, records, position in self._logs:
            del handler.records[records:]
            _cut(handler.stream, position)
        for text, stream, position in self._printed:
            text.flush()
            _cut(stream, position)
        if not self._keep_warnings:
            self._note_warnings()

    def after_iteration(self, done: int, bytes_per_iteration: float) -> None:
        """Nothing: a failing iteration keeps its own log for the report."""

    def _note_warnings(self) -> None:
        """Keep the first warning of each place for pytest's summary, and drop the rest."""
        for message in self._caught:
            place = (message.category, message.filename, message.lineno)
            if place not in self._seen and len(self._seen) < _MOST_WARNINGS:
                message.source = None  # a recorded ResourceWarning would keep its object alive
                self._seen[place] = message
        self._caught.clear()


def _cut(stream: IO[Any], position: int) -> None:
    stream.truncate(position)  # a stream that the test has cleared is shorter already
    stream.seek(0, io.SEEK_END)
