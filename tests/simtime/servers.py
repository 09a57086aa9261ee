"""Real servers on 127.0.0.1 in threads of their own. They take real time for every answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from pytest_memleak.simtime import real_monotonic

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"


def work(seconds: float) -> None:
    """Compute for `seconds` of real time."""
    until = real_monotonic() + seconds
    while real_monotonic() < until:
        pass


@contextlib.contextmanager
def server(answer: Callable[[bytes], bytes | None]) -> Iterator[tuple[int, list[int]]]:
    """Serve `answer` (None: stay silent). Yields the port and a list that grows with each connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []
    connections: list[int] = []

    def serve_one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65536):
                reply = answer(data)
                if reply is not None:
                    connection.sendall(reply)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                accepted.append(connection)
                connections.append(len(connections))
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1], connections
    for sock in (listening, *accepted):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def http_answer(seconds: float) -> Callable[[bytes], bytes]:
    """An HTTP server that computes for `seconds` before it answers."""

    def answer(_request: bytes) -> bytes:
        work(seconds)
        return RESPONSE

    return answer
