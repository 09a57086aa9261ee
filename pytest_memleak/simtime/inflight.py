"""All work in flight, and for how long the clock may stand still for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from .errors import STILL_RUNNING
from .shim import real_monotonic
from .work import Work

# What stayed silent for a whole patience gets a tenth of it the next time: it waits, it does not work.
_DISCOUNT = 0.1


class _Hold:
    """Until when (real time) the clock waits for one work, and what has been seen of it."""

    __slots__ = ("answered", "seen_pending", "until_s")

    def __init__(self, until_s: float) -> None:
        self.until_s = until_s
        self.seen_pending = False
        self.answered = False


class InFlight:
    """The works the clock stands still for. `add` and `discard` may be called from any thread.

    Args:
        patience_s: real seconds, then a work counts as idle.
        notice: called with the text of the warning when that happens for the first time at one site.

    `fresh` says that something was added since `hold_s` looked last.
    """

    def __init__(self, *, patience_s: float, notice: Callable[[str], None]) -> None:
        self._patience_s = patience_s
        self._notice = notice
        self._holds: dict[Work, _Hold] = {}
        self._silences: dict[Hashable, int] = {}
        self.fresh = False

    def add(self, work: Work) -> None:
        """Hold the clock for `work`, for its whole patience from now."""
        patience_s = self._patience_s * work.patience_share
        if self._silences and (silences := self._silences.get(work.site)):
            patience_s *= _DISCOUNT**silences
        self._holds[work] = _Hold(real_monotonic() + patience_s)
        self.fresh = True

    def answered(self, work: Work, rest_s: float) -> None:
        """If `work` is in flight, give it only `rest_s` more: it answered, and there may be a rest."""
        if hold := self._holds.get(work):
            hold.until_s = real_monotonic() + rest_s
            hold.answered = True
            self._trust(work, hold)

    def discard(self, work: Work) -> None:
        """The clock no longer waits for `work`."""
        if hold := self._holds.pop(work, None):
            self._trust(work, hold)
        self.fresh = self.fresh and bool(self._holds)

    def clear(self) -> None:
        """Nothing is in flight any more."""
        self._holds.clear()

    def hold_s(self, kind: type[Work] = Work) -> float:
        """Real seconds the clock must still wait for work of that kind, 0 when there is none."""
        self.fresh = False
        if not self._holds:
            return 0.0
        now = until = real_monotonic()
        for work, hold in list(self._holds.items()):
            if not isinstance(work, kind):
                continue
            if work.over():
                self.discard(work)
            elif work.waits():
                continue
            elif hold.until_s > now:
                hold.seen_pending = True
                until = max(until, hold.until_s)
            else:
                self._give_up(work, hold)
        return until - now

    def _trust(self, work: Work, hold: _Hold) -> None:
        # Only what ended while the clock really waited for it has shown that it works rather than waits.
        if hold.seen_pending and self._silences:
            self._silences.pop(work.site, None)

    def _give_up(self, work: Work, hold: _Hold) -> None:
        self._holds.pop(work, None)
        if hold.answered:
            return
        site = work.site
        self._silences[site] = silences = self._silences.get(site, 0) + 1
        if silences == 1 and work.expected:
            self._notice(STILL_RUNNING.format(work=work.describe(), real_s=self._patience_s))
