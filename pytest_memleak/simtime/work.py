"""The kinds of real work the clock may have to stand still for."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
import weakref
from collections.abc import Callable, Hashable
from types import CodeType
from typing import Any


class Work:
    """One thing in flight. It is compared by identity; `site` is what the clock learns about."""

    __slots__ = ("__weakref__",)
    expected = True  # its silence is worth a warning
    patience_share = 1.0

    def over(self) -> bool:
        """Whether it has ended."""
        raise NotImplementedError

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
    """A StreamReader that waits for data: the transport tells one connection from another."""

    __slots__ = ("_transport",)

    def __init__(self, future: asyncio.Future[Any], code: CodeType, line: int, transport: Any) -> None:
        super().__init__(future, code, line)
        self._transport = transport

    @property
    def site(self) -> Hashable:
        return "stream", id(self._transport)

    def describe(self) -> str:
        info = getattr(self._transport, "get_extra_info", lambda _name: None)
        return f"a read on the connection to {info('peername') or 'a pipe'}"


class Job(Work):
    """A function given to a worker thread: a pool's, asyncio.to_thread's or anyio's."""

    __slots__ = ("_code", "_ended", "_name", "waiter")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        plain = _plain_function(function, args)
        # Names, not the function: what the app gave away must not live longer because of us.
        self._code: CodeType | None = getattr(plain, "__code__", None)
        self._name: str = getattr(plain, "__qualname__", type(plain).__name__)
        self._ended = False
        # The future the loop awaits ends a little later than the function; there must be no gap between.
        self.waiter: weakref.ref[asyncio.Future[Any]] | None = None

    def end(self, _future: object = None) -> None:
        """The function has returned, or will never run."""
        self._ended = True

    def over(self) -> bool:
        if self.waiter is None:
            return self._ended
        future = self.waiter()
        return future is None or future.done()

    @property
    def site(self) -> Hashable:
        return self._code or self._name

    def describe(self) -> str:
        where = f" ({self._code.co_filename}:{self._code.co_firstlineno})" if self._code else ""
        return f"thread job {self._name}{where}"


def _plain_function(function: Any, args: tuple[Any, ...]) -> Any:
    """The user's function: asyncio.to_thread gives a partial of Context.run, Starlette a partial of its own."""
    while isinstance(function, functools.partial):
        function, args = function.func, (*function.args, *args)
    if getattr(function, "__name__", "") == "run" and args and callable(args[0]):
        return _plain_function(args[0], args[1:])
    return function


class ThreadWork(Work):
    """A thread of the app between two sleeps."""

    __slots__ = ("_thread",)

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    def over(self) -> bool:
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def site(self) -> Hashable:
        return type(self).__name__, self._code or type(self._thread)

    def describe(self) -> str:
        code = self._code
        return f"thread {self._thread.name!r}" + (f" ({code.co_filename}:{code.co_firstlineno})" if code else "")

    @property
    def _code(self) -> CodeType | None:
        target = getattr(self._thread, "_target", None) or type(self._thread).run
        code = getattr(target, "__code__", None)
        return code if isinstance(code, CodeType) else None


class NewThread(ThreadWork):
    """A thread that has just started: it may be on its way to its first sleep, or never sleep at all."""

    __slots__ = ()
    expected = False
    patience_share = 0.1


class Child(Work):
    """A live subprocess of the loop."""

    __slots__ = ("_command", "_transport")

    def __init__(self, transport: asyncio.SubprocessTransport, command: str) -> None:
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
        self._fd = fd

    def over(self) -> bool:
        return False  # it leaves by an answer, by silence or when it is closed

    @property
    def site(self) -> Hashable:
        return "connection", self._fd

    def describe(self) -> str:
        return f"an answer from {_peer(self._fd) or f'file descriptor {self._fd}'}"


def _peer(fd: int) -> str | None:
    """The address at the other end of a socket, None if it has none."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return None
    try:
        address = sock.getpeername()
    except OSError:
        return None
    finally:
        sock.detach()
    return ":".join(map(str, address[:2])) if isinstance(address, tuple) else str(address)
