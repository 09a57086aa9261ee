"""One object that follows the clients and other resources of a run, from its begin to its end.

The flow, for a run that may stop anywhere::

    watch = ResourceWatch(iterations=1_440, probes=(*BUILT_IN, *users_probes))
    watch.begin(asyncio.get_running_loop())     # before the app's lifespan startup
    try:
        await start_the_lifespan()
        for iteration in range(1_440):
            await run_the_body()
            watch.after_iteration(iteration, warned=drained_warnings)
        await watch.settle()                    # real time, at most about a second
        watch.before_shutdown()                 # what has been growing
        await stop_the_lifespan()
        await watch.settle()
        watch.after_shutdown()                  # what was left open
    finally:
        readings = watch.close()                # every class as it was; safe to call again
    counts, findings = judge_resources(readings, allow_unclosed=("httpx.AsyncClient",))

Without a running loop (a synchronous test) `begin()` gets no loop or one that runs elsewhere, and
`settle_threads()` takes the place of ``await settle()``. Clients that the plugin makes itself are
left out: the walk to the creating line ends at the plugin. `watch.clients.exclude(client)` leaves
out any other, `watch.clients.watch(thing, is_open=..., name=...)` adds an object of any class.
Call `before_shutdown` and `after_shutdown` after `gc.unfreeze()`: a client whose class allows no
weak references (asyncpg's pool) cannot be found among frozen objects, and is then left out.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable, Iterable, Sequence

from pytest_memleak.model import ClientGroup, ResourceReadings, ResourceSeries
from pytest_memleak.sense.clients import ClientTracker
from pytest_memleak.sense.probes import BUILT_IN, ClientProbe
from pytest_memleak.sense.resources import ResourceSensor
from pytest_memleak.sense.settling import settle_loop, settle_threads
from pytest_memleak.sense.warned import Warned, WarnedResources


class ResourceWatch:
    """Clients, descriptors, threads, tasks, child processes and async generators of one run.

    Args:
        iterations: the most iterations there can be; further ones are not recorded.
        probes: the client classes to track.
        exclude: clients made before `begin` that are not the app's.
        sleep: sleeps in real seconds, whatever clock the run simulates.
    """

    def __init__(
        self,
        *,
        iterations: int,
        probes: Sequence[ClientProbe] = BUILT_IN,
        exclude: Iterable[object] = (),
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.clients = ClientTracker(probes, exclude=exclude)
        self._iterations = iterations
        self._sleep = sleep
        self._sensor: ResourceSensor | None = None
        self._alive = array("l", [0]) * iterations
        self._calm: tuple[int, ...] = ()
        self._warned = WarnedResources()
        self._series: tuple[ResourceSeries, ...] = ()
        self._before_shutdown: tuple[ClientGroup, ...] | None = None
        self._after_shutdown: tuple[ClientGroup, ...] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Start to watch; what is open now was open before the run.

        Args:
            loop: the loop the app runs on; its tasks and async generators are counted.
        """
        self._sensor = ResourceSensor(self._iterations, loop)
        self._sensor.start()
        self.clients.install()  # last, so that nothing stays patched when something fails
        self.clients.iteration = 0
        self._calm = self._levels()

    def after_iteration(self, iteration: int, warned: Iterable[Warned] = ()) -> None:
        """Count after iteration `iteration`, from 0.

        Args:
            warned: ``(category, message, filename, lineno)`` of the warnings it gave; only
                ResourceWarnings are counted and nothing of them but their text is kept.
        """
        assert self._sensor is not None, "begin() comes first"
        self.clients.refresh()
        self._sensor.sample(iteration)
        if iteration < self._iterations:
            self._alive[iteration] = self.clients.live_count()
        self._warned.add(iteration, warned)
        self.clients.iteration = iteration + 1

    async def settle(self) -> None:
        """Wait until what is closing has closed, on the running loop."""
        await settle_loop(*self._what_settles(), self._sleep)

    def settle_threads(self) -> None:
        """Wait until what is closing has closed, where no loop runs."""
        settle_threads(*self._what_settles(), self._sleep)

    def _what_settles(self) -> tuple[Callable[[], Sequence[int]], Sequence[int]]:
        """The counts that are still to be read, and the level that each is to come down to.

        Before the shutdown that is where each began, or where it lay at its lowest in the later half of the run:
        what an app opens once and keeps never closes. After the shutdown only clients that it left are looked at.
        """
        if self._before_shutdown is not None:
            return self._left_open, (0,)
        later = [counts[len(counts) // 2 :] for counts in self.counts()]
        usual = [max(calm, min(counts, default=calm)) for calm, counts in zip(self._calm, later, strict=True)]
        return self._levels, usual

    def _left_open(self) -> tuple[int]:
        groups = self.clients.open_clients()
        return (sum(len(group.births) for group in groups if not group.before_run),)

    def before_shutdown(self) -> None:
        """Read what is open after the last iteration, once it has settled."""
        assert self._sensor is not None, "begin() comes first"
        self._before_shutdown = self.clients.open_clients()
        taken = self._sensor.taken
        alive = ResourceSeries(kind="client", counts=self._alive[:taken], count_settled=self.clients.live_count())
        self._series = (*self._sensor.finish(), alive)

    def after_shutdown(self) -> None:
        """Read what is open after the lifespan's shutdown, once it has settled."""
        self._after_shutdown = self.clients.open_clients()

    def counts(self) -> tuple[Sequence[int], ...]:
        """The counts of the iterations so far, one sequence for each kind."""
        assert self._sensor is not None, "begin() comes first"
        return (*self._sensor.counts(), self._alive[: self._sensor.taken])

    def close(self) -> ResourceReadings:
        """Put every patched class back and return what was seen; safe to call again."""
        self.clients.uninstall()
        return self.readings()

    def readings(self) -> ResourceReadings:
        """What was seen so far."""
        return ResourceReadings(
            iterations=0 if self._sensor is None else self._sensor.taken,
            series=self._series,
            open_before_shutdown=self._before_shutdown,
            open_after_shutdown=self._after_shutdown,
            dropped=self.clients.dropped_clients(),
            warnings=self._warned.groups(),
        )

    def _levels(self) -> tuple[int, ...]:
        assert self._sensor is not None
        return (*self._sensor.levels(), self.clients.live_count())
