"""After a leak: which line, which collection, which kind."""

from pytest_memleak.explain.explanation import StepFailed, explain
from pytest_memleak.explain.trace import TraceRecorder

__all__ = ["StepFailed", "TraceRecorder", "explain"]
