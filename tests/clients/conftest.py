"""Real servers on the loopback interface, and a tracker that always gives the classes back."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import pytest

from pytest_memleak.sense.clients import ClientTracker

DEADLINE_S = 20.0


@pytest.fixture
def tracker() -> Iterator[ClientTracker]:
    """A tracker of the built-in probes, installed for the test."""
    tracker = ClientTracker()
    tracker.install()
    yield tracker
    tracker.uninstall()


HTTP_SERVER = """
import http.server

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

with Server(("127.0.0.1", 0), Answer) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""


@pytest.fixture(scope="session")
def http_url() -> Iterator[str]:
    """A server in a process of its own that answers every request and keeps connections alive."""
    process = subprocess.Popen([sys.executable, "-c", HTTP_SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def websocket_url() -> Iterator[str]:
    """A WebSocket server that reads what it is sent."""
    server_module = pytest.importorskip("websockets.sync.server")

    def read_all(connection: object) -> None:
        for _ in connection:  # type: ignore[attr-defined]
            pass

    with server_module.serve(read_all, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    """A real redis-server."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed")
    port = _free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]
    process = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL)
    try:
        _wait_until_accepting(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server with a cluster of its own."""
    directories = [*sorted(glob.glob("/usr/lib/postgresql/*/bin")), None]
    initdb = next((found for path in directories if (found := shutil.which("initdb", path=path))), None)
    if initdb is None:
        pytest.skip("PostgreSQL's initdb is not installed")
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    directory = tempfile.mkdtemp(prefix="memleak-pg-")
    cluster = os.path.join(directory, "cluster")
    pg_ctl = os.path.join(os.path.dirname(initdb), "pg_ctl")
    port = _free_port()
    options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off"

    def run(*command: str) -> None:
        subprocess.run(command, user=user, cwd=directory, check=True, stdout=subprocess.DEVNULL)

    if user:
        shutil.chown(directory, user)
    try:
        run(initdb, "-D", cluster, "-A", "trust", "-U", "postgres", "--no-sync")
        run(pg_ctl, "-D", cluster, "-w", "-l", os.path.join(directory, "log"), "-o", options, "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            run(pg_ctl, "-D", cluster, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_accepting(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    pytest.fail(f"the server on port {port} did not start", pytrace=False)
