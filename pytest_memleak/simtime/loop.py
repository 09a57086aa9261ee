"""An event loop that a simulated clock can move. Public extension points of asyncio only."""

from __future__ import annotations

import asyncio
import enum
import selectors
import socket
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from . import shim
from .work import Child, Connection, OutsideFuture, StreamRead

if TYPE_CHECKING:
    from .clock import SimulatedClock

# What may follow an answer on a connection whose protocol does not say whether it still waits.
_REST_S = 0.002
# Real time between two looks while the clock stands still for something that cannot wake the loop.
_SHORTEST_LOOK_S, _LONGEST_LOOK_S = 0.0005, 0.05
# They complete their own futures on this loop: those are not outside work.
_INSIDE = frozenset({"anyio", "asyncio", "pytest_asyncio", "pytest_memleak"})


class Idle(enum.Enum):
    """What the clock did when the loop had nothing to do."""

    MOVED = "the loop should look at its timers"
    WOKE_A_THREAD = "something is in flight again"
    CANNOT_MOVE = "only real time can bring something"


class SimulatedSelector(selectors.BaseSelector):
    """Where a loop waits, and so the one place that knows when it is idle."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self._connections: dict[int, Connection] = {}
        self.clock: SimulatedClock | None = None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._real.register(fileobj, events, data)
        self.expect(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._real.modify(fileobj, events, data)
        self.expect(key.fd)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = self._real.unregister(fileobj)
        if (connection := self._connections.pop(key.fd, None)) and self.clock:
            self.clock.in_flight.discard(connection)
        return key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def expect(self, fd: int) -> None:
        """Something may arrive on `fd`: hold the clock, unless nobody there can be late."""
        if self.clock is None or fd < 0 or _listens(fd):
            return
        connection = self._connections.get(fd)
        if connection is None:
            connection = self._connections[fd] = Connection(fd)
        self.clock.in_flight.add(connection)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        clock = self.clock
        if clock is None:
            return self._real.select(timeout)
        clock.beat_s = 0.0  # the loop is here, not stuck in a callback
        events = self._real.select(0)
        if timeout is not None and timeout <= 0:
            clock.loop_is_busy()
        elif not events:
            events = self._wait(clock, timeout)
        for key, _ in events:
            if connection := self._connections.get(key.fd):
                clock.in_flight.answered(connection, _REST_S)
        clock.beat_s = shim.real_monotonic()
        return events

    def _wait(self, clock: SimulatedClock, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Stand still while something is in flight; when nothing is, let the clock move."""
        due_ns = None if timeout is None else clock.now_ns + max(1, round(timeout * 1e9))
        look_s = _SHORTEST_LOOK_S
        while True:
            if hold_s := clock.in_flight.hold_s():
                events = self._real.select(min(hold_s, look_s))
                look_s = min(2 * look_s, _LONGEST_LOOK_S)
            else:
                moved = clock.loop_is_idle(due_ns)
                if moved is Idle.MOVED:
                    return []
                if moved is Idle.WOKE_A_THREAD:
                    look_s = _SHORTEST_LOOK_S
                    continue
                events = self._wait_for_real(clock, timeout)
                if timeout is not None:
                    return events
            if events:
                return events

    def _wait_for_real(self, clock: SimulatedClock, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        started_s = shim.real_monotonic()
        events = self._real.select(_LONGEST_LOOK_S if timeout is None else min(timeout, _LONGEST_LOOK_S))
        clock.flow(shim.real_monotonic() - started_s)
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A stock selector loop until a `SimulatedClock` is entered on it. Use it as a loop factory."""

    def __init__(self) -> None:
        self._sim = SimulatedSelector()
        super().__init__(self._sim)

    @property
    def clock(self) -> SimulatedClock | None:
        """The clock that moves this loop, None while it keeps real time."""
        return self._sim.clock

    @clock.setter
    def clock(self, clock: SimulatedClock | None) -> None:
        self._sim.clock = clock

    def time(self) -> float:
        """Seconds on the monotonic clock of this loop: the simulated one once a clock is entered."""
        clock = self._sim.clock
        return shim.loop_time(self) if clock is None else clock.monotonic_s

    def close(self) -> None:
        """Close the loop. A clock still on it is left first: nothing could move it any more."""
        if self._sim.clock is not None:
            self._sim.clock.leave()
        super().close()

    def create_future(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = super().create_future()
        clock = self._sim.clock
        if clock is not None:
            frame = sys._getframe(1)
            package, _, module = frame.f_globals.get("__name__", "").partition(".")
            if package not in _INSIDE:
                clock.in_flight.add(OutsideFuture(future, frame.f_code, frame.f_lineno))
            elif module == "futures" and frame.f_code.co_name == "wrap_future":
                self._watch_pool(clock, future, frame.f_locals.get("future"))
            elif module == "streams" and frame.f_code.co_name == "_wait_for_data":
                reader = frame.f_locals.get("self")
                transport = getattr(reader, "_transport", None)
                clock.in_flight.add(StreamRead(future, frame.f_code, frame.f_lineno, transport))
        return future

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        clock = self._sim.clock
        if clock is not None and clock.pace.setters is not None:
            clock.pace.count_setter(self, callback)
        return super().call_at(when, callback, *args, context=context)

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        return self._watch_writes(await super().create_connection(*args, **kwargs))

    async def create_unix_connection(self, *args: Any, **kwargs: Any) -> Any:
        return self._watch_writes(await super().create_unix_connection(*args, **kwargs))

    async def subprocess_exec(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        pair = await super().subprocess_exec(protocol_factory, *args, **kwargs)
        return self._watch_child(pair, " ".join(map(str, args)))

    async def subprocess_shell(self, protocol_factory: Any, cmd: Any, **kwargs: Any) -> Any:
        return self._watch_child(await super().subprocess_shell(protocol_factory, cmd, **kwargs), str(cmd))

    def _watch_pool(self, clock: SimulatedClock, future: asyncio.Future[Any], source: Any) -> None:
        """What a pool computes is in flight until the loop has the result, not just until it is computed."""
        if job := clock.threads.job_of(source):
            job.waiter = weakref.ref(future)
        else:
            code = sys._getframe(2).f_code
            clock.in_flight.add(OutsideFuture(future, code, code.co_firstlineno))

    def _watch_writes(self, pair: tuple[Any, Any]) -> tuple[Any, Any]:
        """A write on a client connection expects an answer."""
        transport = pair[0]
        sock = transport.get_extra_info("socket")
        fd: int = -1 if sock is None else sock.fileno()
        expect = self._sim.expect
        # Weakly: a cycle through the transport would keep a dropped connection until the next collection.
        owner = weakref.ref(transport)

        def watched(name: str) -> Callable[[Any], Any]:
            def write(data: Any) -> Any:
                expect(fd)
                return getattr(type(owner()), name)(owner(), data)

            return write

        transport.write, transport.writelines = watched("write"), watched("writelines")
        return pair

    def _watch_child(self, pair: tuple[Any, Any], command: str) -> tuple[Any, Any]:
        if self._sim.clock is not None and pair[0].get_returncode() is None:
            self._sim.clock.in_flight.add(Child(pair[0], command))
        return pair


def _listens(fd: int) -> bool:
    """Whether `fd` is a listening socket: nobody owes it a connection."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return False
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False
    finally:
        sock.detach()
