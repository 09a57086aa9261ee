"""An event loop that a simulated clock can move. Public extension points of asyncio only."""

from __future__ import annotations

import asyncio
import selectors
import sys
from collections.abc import Callable, Mapping
from typing import Any

from . import shim
from .clockwork import LONGEST_LOOK_S, SHORTEST_LOOK_S, Clockwork, Idle
from .work import Child, Connection, OutsideFuture, Reference, StreamRead, addresses_of

# What may follow an answer on a connection whose protocol does not say whether it still waits.
_REST_S = 0.002
# They complete their own futures on this loop: those are not outside work.
_INSIDE = frozenset({"anyio", "asyncio", "pytest_asyncio", "pytest_memleak"})


class SimulatedSelector(selectors.BaseSelector):
    """Where a loop waits, and so the one place that knows when it is idle."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self._connections: dict[int, Connection] = {}
        self._ports: dict[int, int] = {}  # file descriptor -> its own port
        self.clockwork: Clockwork | None = None

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
        if (connection := self._connections.pop(key.fd, None)) and self.clockwork:
            self.clockwork.in_flight.discard(connection)
        return key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def expect(self, fd: int) -> None:
        """Something may arrive on `fd`: hold the clock, unless only this loop itself could send it."""
        if self.clockwork is not None and self.reaches_outside(fd):
            connection = self._connections.get(fd)
            if connection is None:
                connection = self._connections[fd] = Connection(fd)
            self.clockwork.in_flight.add(connection)

    def reaches_outside(self, fd: int) -> bool:
        """Whether somebody outside this loop is at the other end of `fd`.

        A server in the same loop may need a timer to answer, and no timer fires while an answer is awaited.
        """
        if fd < 0:
            return False
        own, peer, serves = addresses_of(fd)
        if own is not None:
            self._ports[fd] = own[1]
        if own is None or peer is None:
            return not serves
        return own[0] != peer[0] or not self._owns(peer[1])

    def _owns(self, port: int) -> bool:
        """Whether a socket of this loop, open still, has that port."""
        ends = (addresses_of(fd).own for fd, known in list(self._ports.items()) if known == port)
        return any(own is not None and own[1] == port for own in ends)

    def note_ports(self) -> None:
        """Learn the ports of this loop's servers that listened before the clock was entered."""
        for key in list(self.get_map().values()):
            self.reaches_outside(key.fd)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        works = self.clockwork
        if works is None:
            return self._real.select(timeout)
        works.beat_s = 0.0  # the loop is here, not stuck in a callback
        idle = timeout is None or timeout > 0
        # To answer what was just given away is the likeliest next thing to happen: one look instead of three.
        events = self._real.select(SHORTEST_LOOK_S if idle and works.in_flight.fresh else 0)
        if not idle:
            works.loop_is_busy()
        elif not events:
            events = self._wait(works, timeout)
        for key, _ in events:
            if connection := self._connections.get(key.fd):
                works.in_flight.answered(connection, _REST_S)
        works.beat_s = shim.real_monotonic()
        return events

    def _wait(self, works: Clockwork, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Stand still while something is in flight; when nothing is, let the clock move."""
        due_ns = None if timeout is None else works.hands.now_ns + max(1, round(timeout * 1e9))
        look_s = SHORTEST_LOOK_S
        while True:
            if hold_s := works.in_flight.hold_s():
                events = self._real.select(min(hold_s, look_s))
                look_s = min(2 * look_s, LONGEST_LOOK_S)
            else:
                moved = works.loop_is_idle(due_ns)
                if moved is Idle.MOVED:
                    return []
                if moved is Idle.WOKE_A_THREAD:
                    look_s = SHORTEST_LOOK_S
                    continue
                events = self._wait_for_real(works, timeout)
                if timeout is not None:
                    return events
            if events:
                return events

    def _wait_for_real(self, works: Clockwork, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        started_s = shim.real_monotonic()
        events = self._real.select(LONGEST_LOOK_S if timeout is None else min(timeout, LONGEST_LOOK_S))
        works.flow(shim.real_monotonic() - started_s)
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A stock selector loop until a `SimulatedClock` is entered on it. Use it as a loop factory."""

    def __init__(self) -> None:
        self._sim = SimulatedSelector()
        self._closing: Callable[[], None] | None = None
        self._read_monotonic: Callable[[], float] | None = None
        super().__init__(self._sim)

    def attach(self, works: Clockwork, closing: Callable[[], None]) -> None:
        """From now on `works` moves this loop's time; `closing` is called if the loop is closed before."""
        self._sim.clockwork, self._closing = works, closing
        self._read_monotonic = works.hands.read_monotonic
        self._sim.note_ports()

    def detach(self) -> None:
        """Back to real time, from the moment reached."""
        self._sim.clockwork = self._closing = self._read_monotonic = None
        shim.set_loop_lead(self, shim.lead_seconds())

    def time(self) -> float:
        """Seconds on the monotonic clock of this loop: the simulated one while a clock is attached."""
        read = self._read_monotonic
        return shim.loop_time(self) if read is None else read()

    def close(self) -> None:
        """Close the loop, and first leave a clock that is still attached: nothing could move it any more."""
        if self._closing is not None:
            self._closing()
        super().close()

    def create_future(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = super().create_future()
        works = self._sim.clockwork
        if works is not None:
            frame = sys._getframe(1)
            package, _, module = frame.f_globals.get("__name__", "").partition(".")
            if package not in _INSIDE:
                works.in_flight.add(OutsideFuture(future, frame.f_code, frame.f_lineno))
            elif module == "futures" and frame.f_code.co_name == "wrap_future":
                self._watch_pool(works, future, frame.f_locals.get("future"))
            elif module == "streams" and frame.f_code.co_name == "_wait_for_data":
                fd = _fd_of(getattr(frame.f_locals.get("self"), "_transport", None))
                if self._sim.reaches_outside(fd):
                    works.in_flight.add(StreamRead(future, frame.f_code, frame.f_lineno, fd))
        return future

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        works = self._sim.clockwork
        if works is not None and works.pace.setters is not None:
            works.pace.count_setter(self, callback)
        return super().call_at(when, callback, *args, context=context)

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        works = self._sim.clockwork
        if works is not None:
            frame = sys._getframe(1)
            if frame.f_code.co_name == "run_coroutine_threadsafe":
                works.threads.asks(frame.f_locals.get("future"))
        return super().call_soon_threadsafe(callback, *args, context=context)

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        return self._watch_writes(await super().create_connection(*args, **kwargs))

    async def create_unix_connection(self, *args: Any, **kwargs: Any) -> Any:
        return self._watch_writes(await super().create_unix_connection(*args, **kwargs))

    async def subprocess_exec(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        pair = await super().subprocess_exec(protocol_factory, *args, **kwargs)
        return self._watch_child(pair, " ".join(map(str, args)))

    async def subprocess_shell(self, protocol_factory: Any, cmd: Any, **kwargs: Any) -> Any:
        return self._watch_child(await super().subprocess_shell(protocol_factory, cmd, **kwargs), str(cmd))

    def _watch_pool(self, works: Clockwork, future: asyncio.Future[Any], source: Any) -> None:
        """What a pool computes is in flight until the loop has the result, not just until it is computed."""
        if job := works.threads.job_of(source):
            job.waiter = Reference(future)
        else:
            frame = sys._getframe(3)
            while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "asyncio":
                frame = frame.f_back
            works.in_flight.add(OutsideFuture(future, frame.f_code, frame.f_lineno))

    def _watch_writes(self, pair: tuple[Any, Any]) -> tuple[Any, Any]:
        """A write on a client connection expects an answer."""
        transport = pair[0]
        fd = _fd_of(transport)
        expect = self._sim.expect
        # Weakly: a cycle through the transport would keep a dropped connection until the next collection.
        owner = Reference(transport)

        def watched(name: str) -> Callable[[Any], Any]:
            def write(data: Any) -> Any:
                expect(fd)
                return getattr(type(owner()), name)(owner(), data)

            return write

        transport.write, transport.writelines = watched("write"), watched("writelines")
        return pair

    def _watch_child(self, pair: tuple[Any, Any], command: str) -> tuple[Any, Any]:
        if self._sim.clockwork is not None and pair[0].get_returncode() is None:
            self._sim.clockwork.in_flight.add(Child(pair[0], command))
        return pair


def _fd_of(transport: asyncio.BaseTransport | None) -> int:
    """The file descriptor of a transport, -1 when it has none or is closed."""
    if transport is None:
        return -1
    end = transport.get_extra_info("socket") or transport.get_extra_info("pipe")
    return -1 if end is None or getattr(end, "closed", False) else int(end.fileno())
