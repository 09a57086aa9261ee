"""Sockets and children: the clock stands still until they answer; time-outs are simulated otherwise."""

import asyncio
import shutil
import socket
import subprocess
import sys
import warnings

import aiohttp
import httpx
import pytest
import redis.asyncio

from pytest_memleak.simtime import SimulatedTimeWarning

from .servers import http_answer, server, work


async def ticking(interval_s=0.01):
    while True:
        await asyncio.sleep(interval_s)


@pytest.fixture
def http_server():
    with server(http_answer(0.03)) as (port, connections):
        yield f"http://127.0.0.1:{port}/", connections


@pytest.fixture
def silent_server():
    with server(lambda data: None) as (port, _):
        yield port


async def test_twenty_slow_answers_under_a_timeout_cost_no_simulated_time(clock):
    ticker = asyncio.create_task(ticking())

    def echo(data):
        work(0.03)
        return data

    with server(echo) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(20):
            writer.write(b"x" * 10)
            async with asyncio.timeout(1):
                await reader.readexactly(10)
        assert clock.now == 0
        await clock.advance(60)
        assert clock.now == 60
        writer.close()
    ticker.cancel()


async def test_an_answer_in_pieces_is_one_answer(clock):
    """A protocol that waits on an asyncio.Event: nobody tells the clock that there is more to come."""
    ticker = asyncio.create_task(ticking())

    class Pieces(asyncio.Protocol):
        def __init__(self):
            self.size, self.complete = 0, asyncio.Event()

        def data_received(self, data):
            self.size += len(data)
            if self.size == 4_000_000:
                self.complete.set()

    with server(lambda data: b"x" * 4_000_000) as (port, _):
        transport, protocol = await asyncio.get_running_loop().create_connection(Pieces, "127.0.0.1", port)
        transport.write(b"?")
        async with asyncio.timeout(1):
            await protocol.complete.wait()
        transport.close()
    assert clock.now < 1
    ticker.cancel()


async def test_httpx_over_loopback_under_a_timeout(clock, http_server):
    url, _ = http_server
    ticker = asyncio.create_task(ticking())
    async with httpx.AsyncClient(timeout=1) as client:
        for _ in range(10):
            async with asyncio.timeout(1):
                assert (await client.get(url)).text == "ok"
    assert clock.now == 0
    ticker.cancel()


async def test_aiohttp_over_loopback_under_a_timeout(clock, http_server):
    url, _ = http_server
    ticker = asyncio.create_task(ticking())
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as session:
        for _ in range(10):
            async with asyncio.timeout(1), session.get(url) as response:
                assert await response.text() == "ok"
    assert clock.now < 0.5
    ticker.cancel()


async def test_httpx_keep_alive_expires(clock, http_server):
    url, connections = http_server
    async with httpx.AsyncClient(limits=httpx.Limits(keepalive_expiry=30)) as client:
        await client.get(url)
        await clock.advance(29)
        await client.get(url)
        assert len(connections) == 1
        await clock.advance(31)
        await client.get(url)
    assert len(connections) == 2


async def test_aiohttp_keep_alive_expires(clock, http_server):
    url, connections = http_server
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=30)) as session:
        await (await session.get(url)).read()
        await clock.advance(20)
        await (await session.get(url)).read()
        assert len(connections) == 1
        await clock.advance(61)
        await (await session.get(url)).read()
    assert len(connections) == 2


@pytest.mark.clock(patience=0.2)
async def test_an_unanswered_socket_times_out_at_its_simulated_timeout(clock, silent_server):
    reader, writer = await asyncio.open_connection("127.0.0.1", silent_server)
    writer.write(b"anybody?")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(17):
            await reader.read(1)
    assert clock.now == 17
    with pytest.warns(SimulatedTimeWarning, match=rf"an answer from 127\.0\.0\.1:{silent_server}") as seen:
        await clock.advance(1)
    assert len(seen) == 1
    writer.close()


@pytest.mark.clock(patience=0.2)
async def test_httpx_reads_time_out_at_their_simulated_timeout(clock, silent_server):
    async with httpx.AsyncClient(timeout=httpx.Timeout(3, read=19)) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(f"http://127.0.0.1:{silent_server}/")
    assert clock.now == 19
    with pytest.warns(SimulatedTimeWarning, match="no longer waits"):
        await clock.advance(1)


@pytest.mark.clock(patience=0.2)
async def test_a_raw_socket_that_stays_silent_times_out_too(clock, silent_server):
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", silent_server))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_recv(sock, 1), 23)
    assert clock.now == 23
    with pytest.warns(SimulatedTimeWarning, match="no longer waits"):
        await clock.advance(1)


async def test_a_server_on_the_same_loop(clock):
    async def serve(reader, writer):
        async for line in reader:
            await asyncio.sleep(2)
            writer.write(line)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    for _ in range(5):
        writer.write(b"hello\n")
        assert await asyncio.wait_for(reader.readline(), 5) == b"hello\n"
    assert clock.now == 10
    writer.close()
    listening.close()


async def test_a_datagram_endpoint_that_nobody_writes_to_does_not_hold_the_clock(clock):
    endpoint, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    with warnings.catch_warnings(action="error"):
        await clock.advance(60)
    endpoint.close()


async def test_a_child_of_the_loop_holds_the_clock(clock):
    ticker = asyncio.create_task(ticking())
    async with asyncio.timeout(30):
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(6 * 7)", stdout=subprocess.PIPE)
        output, _ = await child.communicate()
    assert output.strip() == b"42"
    assert clock.now < 1
    ticker.cancel()


async def test_blocking_subprocess_calls_keep_real_time(clock):
    assert subprocess.run([sys.executable, "-c", "pass"], timeout=60, check=False).returncode == 0
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.1, check=False)
    job = asyncio.to_thread(subprocess.run, [sys.executable, "-c", "pass"], timeout=60, check=False)
    assert (await asyncio.wait_for(job, 5)).returncode == 0


@pytest.fixture
def redis_port(tmp_path):
    """A real redis-server on a free port of 127.0.0.1."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on PATH: install Redis to run the tests against it")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "Ready to accept connections" in line:
                break
        yield port
        process.terminate()
        process.communicate()


async def test_redis_commands_cost_no_simulated_time(clock, redis_port):
    ticker = asyncio.create_task(ticking())
    async with redis.asyncio.Redis(port=redis_port, socket_timeout=1) as client:
        for number in range(50):
            async with asyncio.timeout(1):
                await client.set(f"key{number}", "x" * 1000)
                assert len(await client.get(f"key{number}")) == 1000
        async with asyncio.timeout(1):
            pipeline = client.pipeline()
            for number in range(500):
                pipeline.get(f"key{number}")
            assert len(await pipeline.execute()) == 500
        now = clock.now
        assert now < 1
        for step in range(5):
            await clock.advance(60)
            assert await client.ping()
            assert clock.now == pytest.approx(now + (step + 1) * 60, abs=1)
    ticker.cancel()


@pytest.mark.clock(patience=0.2)
@pytest.mark.filterwarnings("ignore::pytest_memleak.simtime.SimulatedTimeWarning")
async def test_an_idle_redis_subscriber_does_not_slow_the_clock_for_long(clock, redis_port):
    async with redis.asyncio.Redis(port=redis_port) as client, client.pubsub() as pubsub:
        await pubsub.subscribe("news")
        messages = []

        async def listen():
            async for message in pubsub.listen():
                if message["type"] == "message":
                    messages.append(message["data"])

        listener = asyncio.create_task(listen())
        for step in range(200):
            await clock.advance_to((step + 1) * 60)
        assert clock.now == 12_000
        await client.publish("news", "hello")
        while not messages:
            await asyncio.sleep(0.1)
        listener.cancel()
        assert messages == [b"hello"]
