"""The default of a contextvar is one list for everybody.

holder: context_default.TRAIL.get()
"""

import contextvars

TRAIL = contextvars.ContextVar("trail", default=[])  # noqa: B039


def work():
    TRAIL.get().append({"event": "called"})  # LEAK
