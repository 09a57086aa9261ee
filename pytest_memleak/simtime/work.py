"""The kinds of real work the clock may have to stand still for."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from types import CodeType
from typing import Any, NamedTuple, TypeVar

from .stance import Stance, stance_of

T = TypeVar("T")


class Reference(weakref.ref[T]):
    """A weak reference of the clock's own.

    A plain one is shared by all who ask for one: the references that an app leaks would have been made here.
    """

    __slots__ = ()


class Work:
    """One thing in flight. It is compared by identity; `site` is what the clock learns about."""

    __slots__ = ("parked",)

    def __init__(self) -> None:
        self.parked = False

    def park(self) -> None:
        """Its thread sleeps in simulated time: nothing really happens."""
        self.parked = True

    @property
    def expected(self) -> bool:
        """Whether its silence is worth a warning."""
        return True

    @property
    def patience_share(self) -> float:
        """The share of the clock's patience that it deserves."""
        return 1.0

    def over(self) -> bool:
        """Whether it has ended."""
        raise NotImplementedError

    def waits(self) -> bool:
        """Whether it cannot go on before others do: then those hold the clock, or nobody does."""
        return False

    def stance(self) -> Stance | None:
        """Where its thread is asleep for real, None while it moves or has none."""
        return None

    @property
    def site(self) -> Hashable:
        """What the works of one kind have in common, e.g. the line that starts them."""
        raise NotImplementedError

    def describe(self) -> str:
        """What it is and where, for a message."""
        raise NotImplementedError


class OutsideFuture(Work):
    """A future made outside asyncio: a driver's own thread or a protocol will complete it."""

    __slots__ = ("_code", "_future", "_line")

    def __init__(self, future: asyncio.Future[Any], code: CodeType, line: int) -> None:
        super().__init__()
        self._future, self._code, self._line = future, code, line

    def over(self) -> bool:
        return self._future.done()

    @property
    def site(self) -> Hashable:
        return self._code, self._line

    def describe(self) -> str:
        where = f"{self._code.co_filename}:{self._line}"
        return f"a future made by {self._code.co_qualname} ({where})"


class StreamRead(OutsideFuture):
    """A StreamReader that waits for data: the connection tells one from another, not the line in asyncio."""

    __slots__ = ("_fd",)

    def __init__(self, future: asyncio.Future[Any], code: CodeType, line: int, fd: int) -> None:
        super().__init__(future, code, line)
        self._fd = fd

    @property
    def site(self) -> Hashable:
        return "stream", self._fd

    def describe(self) -> str:
        return _answer_on(self._fd)


class Job(Work):
    """A function given to a worker thread: a pool's, asyncio.to_thread's or anyio's."""

    __slots__ = ("_code", "_ended", "_full", "_name", "_started", "asked", "queued", "waiter")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], full: Callable[[], bool]) -> None:
        """`full` tells whether every thread that could run it is taken."""
        super().__init__()
        plain = _plain_function(function, args)
        # Names, not the function: what the app gave away must not live longer because of us.
        self._code: CodeType | None = getattr(plain, "__code__", None)
        self._name: str = getattr(plain, "__qualname__", type(plain).__name__)
        self._full = full
        self._started = self._ended = False
        self.queued = False  # seen waiting for a thread
        # The coroutine that the function gave to the loop and waits for.
        self.asked: Future[Any] | None = None
        # The future the loop awaits ends a little later than the function; there must be no gap between.
        self.waiter: Reference[asyncio.Future[Any]] | None = None

    def start(self) -> None:
        """A thread runs the function now."""
        self._started = True

    def end(self, _future: object = None) -> None:
        """The function has returned, or will never run."""
        self._ended = True

    def over(self) -> bool:
        if self.waiter is None:
            return self._ended
        future = self.waiter()
        return future is None or future.done()

    def waits(self) -> bool:
        if not self._started:
            full = self._full()
            self.queued = self.queued or full
            return full
        return self.asked is not None and not self.asked.done()

    @property
    def site(self) -> Hashable:
        return self._code or self._name

    def describe(self) -> str:
        where = f" ({self._code.co_filename}:{self._code.co_firstlineno})" if self._code else ""
        return f"thread job {self._name}{where}"


def _plain_function(function: Any, args: tuple[Any, ...]) -> Any:
    """The user's function: asyncio.to_thread gives a partial of Context.run, Starlette one of its own."""
    while isinstance(function, functools.partial):
        function, args = function.func, (*function.args, *args)
    if getattr(function, "__name__", "") == "run" and args and callable(args[0]):
        return _plain_function(args[0], args[1:])
    return function


class ThreadWork(Work):
    """A thread of the app between two sleeps.

    Until its first sleep it is on its way there, or will never sleep at all: that gets little patience.
    """

    __slots__ = ("_name", "_slept", "_thread", "_type")

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__()
        # Weakly: this is the value of a dictionary whose key is the thread, and would keep it for ever.
        self._thread = Reference(thread)
        self._name, self._type = thread.name, type(thread)
        self._slept = False

    def park(self) -> None:
        super().park()
        self._slept = True

    @property
    def expected(self) -> bool:
        return self._slept

    @property
    def patience_share(self) -> float:
        return 1.0 if self._slept else 0.1

    def over(self) -> bool:
        thread = self._thread()
        return thread is None or (thread.ident is not None and not thread.is_alive())

    def stance(self) -> Stance | None:
        thread = self._thread()
        return None if thread is None else stance_of(thread)

    @property
    def site(self) -> Hashable:
        return self._slept, self._code or self._type

    def describe(self) -> str:
        code = self._code
        where = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        return f"thread {self._name!r}{where}"

    @property
    def _code(self) -> CodeType | None:
        target = getattr(self._thread(), "_target", None) or self._type.run
        code = getattr(target, "__code__", None)
        return code if isinstance(code, CodeType) else None


class Child(Work):
    """A live subprocess of the loop."""

    __slots__ = ("_command", "_transport")

    def __init__(self, transport: asyncio.SubprocessTransport, command: str) -> None:
        super().__init__()
        self._transport, self._command = transport, command

    def over(self) -> bool:
        return self._transport.get_returncode() is not None

    @property
    def site(self) -> Hashable:
        return "child", self._command

    def describe(self) -> str:
        return f"subprocess {self._command!r} (pid {self._transport.get_pid()})"


class Connection(Work):
    """A file descriptor of the loop that something may still arrive on."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def over(self) -> bool:
        return False  # it leaves by an answer, by silence or when it is closed

    @property
    def site(self) -> Hashable:
        return "connection", self._fd

    def describe(self) -> str:
        return _answer_on(self._fd)


def _answer_on(fd: int) -> str:
    peer = addresses_of(fd).peer
    return f"an answer from {':'.join(map(str, peer[:2]))}" if peer else f"an answer on file descriptor {fd}"


class Addresses(NamedTuple):
    """Both ends of a socket as (host, port, ...), None for what has no such thing.

    A socket that `serves`, a listening or an unconnected datagram one, has nobody who owes it an answer.
    """

    own: tuple[Any, ...] | None
    peer: tuple[Any, ...] | None
    serves: bool = False


def addresses_of(fd: int) -> Addresses:
    """The two ends of an internet socket. Pipes and Unix sockets have none."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return Addresses(None, None)
    try:
        serves = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return Addresses(None, None, serves)
        own = sock.getsockname()
        try:
            return Addresses(own, sock.getpeername())
        except OSError:
            return Addresses(own, None, serves or sock.type == socket.SOCK_DGRAM)
    except OSError:
        return Addresses(None, None)
    finally:
        sock.detach()
