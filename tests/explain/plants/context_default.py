"""The default of a contextvar is one list for everybody.

holder: context_default.TRAIL.get()
"""

import contextvars

TRAIL = contextvars.ContextVar("trail", default=[])


def work():
    TRAIL.get().append({"event": "called"})  # LEAK
