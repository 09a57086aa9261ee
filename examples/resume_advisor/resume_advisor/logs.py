"""Structured logs: one JSON object a line, as the runbook's `jq` commands expect."""

from __future__ import annotations

import datetime
import json
import logging


class JsonFormatter(logging.Formatter):
    """Formats a record with its `event` and `context`, given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(),
            "level": record.levelname,
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
            "context": getattr(record, "context", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: int = logging.INFO) -> None:
    """Send the service's log to standard error as JSON; a second call changes nothing."""
    root = logging.getLogger("resume_advisor")
    if not root.handlers:
        output = logging.StreamHandler()
        output.setFormatter(JsonFormatter())
        root.addHandler(output)
        root.setLevel(level)
