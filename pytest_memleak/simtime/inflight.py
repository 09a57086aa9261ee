"""All work in flight, and for how long the clock may stand still for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from .errors import STILL_RUNNING
from .shim import real_monotonic
from .stance import Stance
from .work import Work

# What stayed silent for a whole patience gets a tenth of it the next time: it waits, it does not work.
_DISCOUNT = 0.1


class _Hold:
    """Until when (real time) the clock waits for one work, and what has been seen of it."""

    __slots__ = ("answered", "seen_pending", "since_s", "stance", "until_s")

    def __init__(self, until_s: float) -> None:
        self.until_s = until_s
        self.seen_pending = False
        self.answered = False
        self.stance: Stance | None = None
        self.since_s = 0.0  # when it was first seen so


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
        # Threads that fell silent, and where they stood: as soon as one moves it is in flight again.
        self._silent: dict[Work, Stance] = {}
        self.fresh = False

    def add(self, work: Work) -> None:
        """Hold the clock for `work`, for its whole patience from now."""
        patience_s = self._patience_s * work.patience_share
        if self._silences and (silences := self._silences.get(work.site)):
            patience_s *= _DISCOUNT**silences
        self._holds[work] = _Hold(real_monotonic() + patience_s)
        self._silent.pop(work, None)
        self.fresh = True

    def answered(self, work: Work, rest_s: float) -> None:
        """If `work` is in flight, give it only `rest_s` more: it answered, and there may be a rest."""
        if hold := self._holds.get(work):
            hold.until_s = real_monotonic() + rest_s
            hold.answered = True
            self._trust(work, hold)

    def discard(self, work: Work) -> None:
        """The clock no longer waits for `work`."""
        self._silent.pop(work, None)
        if hold := self._holds.pop(work, None):
            self._trust(work, hold)
        self.fresh = self.fresh and bool(self._holds)

    def clear(self) -> None:
        """Nothing is in flight any more."""
        self._holds.clear()
        self._silent.clear()

    def hold_s(self, kind: type[Work] = Work) -> float:
        """Real seconds the clock must still wait for work of that kind, 0 when there is none."""
        if self._silent:
            self._look_at_silent()
        self.fresh = False
        if not self._holds:
            return 0.0
        now = until = real_monotonic()
        for work, hold in list(self._holds.items()):
            if not isinstance(work, kind):
                continue
            # One that was silent may have parked just when it was seen to move.
            if work.parked or work.over():
                self.discard(work)
            elif work.waits():
                continue
            elif (until_s := self._until_s(work, hold, now)) > now:
                hold.seen_pending = True
                until = max(until, until_s)
            else:
                self._give_up(work, hold, now)
        return until - now

    def _until_s(self, work: Work, hold: _Hold, now: float) -> float:
        """Until when the clock waits: less long where a thread was silent before, whatever it did in between."""
        if not hold.seen_pending:  # most are done before a second look, which costs more
            return hold.until_s
        stance = work.stance()
        if stance is None or stance != hold.stance:
            hold.stance, hold.since_s = stance, now
            return hold.until_s
        patience_s = self._patience_s * work.patience_share
        return min(hold.until_s, hold.since_s + patience_s * _DISCOUNT ** self._silences_at(stance))

    def _silences_at(self, stance: Stance) -> int:
        return self._silences.get(stance.place, 1 if stance.place.for_thread else 0)

    def _look_at_silent(self) -> None:
        for work, stance in list(self._silent.items()):
            if work.over():
                self.discard(work)
            elif work.stance() != stance:
                self.add(work)

    def _trust(self, work: Work, hold: _Hold) -> None:
        # Only what ended while the clock really waited for it has shown that it works rather than waits.
        if hold.seen_pending and self._silences:
            self._silences.pop(work.site, None)

    def _give_up(self, work: Work, hold: _Hold, now: float) -> None:
        self._holds.pop(work, None)
        if hold.answered:
            return
        site, silences = work.site, self._silences.get(work.site, 0)
        if hold.stance is not None and hold.since_s < now:
            site, silences = hold.stance.place, self._silences_at(hold.stance)
            self._silent[work] = hold.stance
        self._silences[site] = silences + 1
        if not silences and work.expected:
            self._notice(STILL_RUNNING.format(work=work.describe(), real_s=self._patience_s))
