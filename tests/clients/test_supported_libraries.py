"""Every built-in probe against the real library: the line that made it, open, and closed."""

from __future__ import annotations

import gc
import importlib
import inspect
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest

from pytest_memleak.model import ClientGroup
from pytest_memleak.sense.clients import BEFORE_THE_FIRST, ClientTracker
from pytest_memleak.sense.probes import BUILT_IN

pytestmark = pytest.mark.asyncio

Close = Callable[[], Awaitable[None] | None]
Server = Callable[[str], Any]
Made = tuple[Any, Close]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Server:
    """The address of a server by the name of its fixture, started when first asked for."""
    return request.getfixturevalue


async def httpx_sync(server: Server) -> Made:
    import httpx

    client = httpx.Client(verify=False)  # made
    return client, client.close


async def httpx_async(server: Server) -> Made:
    import httpx

    client = httpx.AsyncClient(verify=False)  # made
    return client, client.aclose


async def httpx2_sync(server: Server) -> Made:
    import httpx2

    client = httpx2.Client(verify=False)  # made
    return client, client.close


async def httpx2_async(server: Server) -> Made:
    import httpx2

    client = httpx2.AsyncClient(verify=False)  # made
    return client, client.aclose


async def openai_async(server: Server) -> Made:
    import openai

    client = openai.AsyncOpenAI(api_key="none")  # made
    return client, client.close


async def openai_sync(server: Server) -> Made:
    import openai

    client = openai.OpenAI(api_key="none")  # made
    return client, client.close


async def anthropic_async(server: Server) -> Made:
    import anthropic

    client = anthropic.AsyncAnthropic(api_key="none")  # made
    return client, client.close


async def aiohttp_session(server: Server) -> Made:
    import aiohttp

    session = aiohttp.ClientSession()  # made
    return session, session.close


async def requests_session(server: Server) -> Made:
    import requests

    session = requests.Session()  # made
    session.get(server("http_url"))
    return session, session.close


async def redis_async(server: Server) -> Made:
    import redis.asyncio

    client = redis.asyncio.Redis(port=server("redis_port"))  # made
    await client.ping()
    return client, client.aclose


async def redis_async_blocking_pool(server: Server) -> Made:
    import redis.asyncio

    pool = redis.asyncio.BlockingConnectionPool(port=server("redis_port"))
    client = redis.asyncio.Redis.from_pool(pool)  # made
    await client.ping()
    return client, client.aclose


async def redis_sync(server: Server) -> Made:
    import redis

    client = redis.Redis(port=server("redis_port"))  # made
    client.ping()
    return client, client.close


async def redis_sync_from_url(server: Server) -> Made:
    import redis

    client = redis.from_url(f"redis://127.0.0.1:{server('redis_port')}")  # made
    client.ping()
    return client, client.close


async def sqlalchemy_memory(server: Server) -> Made:
    import sqlalchemy

    engine = sqlalchemy.create_engine("sqlite://")  # made
    engine.connect().close()
    return engine, engine.dispose


async def sqlalchemy_queue_pool(server: Server) -> Made:
    import sqlalchemy

    url = server("postgres_url").replace("postgresql:", "postgresql+psycopg:")
    engine = sqlalchemy.create_engine(url)  # made
    engine.connect().close()
    return engine, engine.dispose


async def sqlalchemy_static_pool(server: Server) -> Made:
    import sqlalchemy

    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)  # made
    engine.connect().close()
    return engine, engine.dispose


async def sqlalchemy_async(server: Server) -> Made:
    from sqlalchemy.ext.asyncio import create_async_engine

    url = server("postgres_url").replace("postgresql:", "postgresql+asyncpg:")
    engine = create_async_engine(url)  # made
    async with engine.connect():
        pass
    return engine, engine.dispose


async def asyncpg_connection(server: Server) -> Made:
    import asyncpg

    connection = await asyncpg.connect(server("postgres_url"))  # made
    return connection, connection.close


async def asyncpg_pool(server: Server) -> Made:
    import asyncpg

    pool = await asyncpg.create_pool(server("postgres_url"), min_size=2)  # made
    return pool, pool.close


async def aiosqlite_connection(server: Server) -> Made:
    import aiosqlite

    connection = await aiosqlite.connect(":memory:")  # made
    return connection, connection.close


async def psycopg_sync(server: Server) -> Made:
    import psycopg

    connection = psycopg.connect(server("postgres_url"))  # made
    return connection, connection.close


async def psycopg_async(server: Server) -> Made:
    import psycopg

    connection = await psycopg.AsyncConnection.connect(server("postgres_url"))  # made
    return connection, connection.close


async def psycopg_pool_sync(server: Server) -> Made:
    import psycopg_pool

    pool = psycopg_pool.ConnectionPool(server("postgres_url"), min_size=1, open=True)  # made
    pool.wait()
    return pool, pool.close


async def psycopg_pool_async(server: Server) -> Made:
    import psycopg_pool

    pool = psycopg_pool.AsyncConnectionPool(server("postgres_url"), min_size=1, open=False)  # made
    await pool.open(wait=True)
    return pool, pool.close


async def grpc_channel(server: Server) -> Made:
    import grpc.aio

    channel = grpc.aio.insecure_channel("127.0.0.1:1")  # made
    return channel, channel.close


async def botocore_client(server: Server) -> Made:
    import botocore.session

    session = botocore.session.get_session()
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    client = session.create_client("s3", "local", endpoint_url=server("http_url"), **keys)  # made
    client.get_object(Bucket="bucket", Key="key")
    return client, client.close


async def aiobotocore_client(server: Server) -> Made:
    import aiobotocore.session

    session = aiobotocore.session.get_session()
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    context = session.create_client("s3", "local", endpoint_url=server("http_url"), **keys)
    client = await context.__aenter__()  # made
    await client.get_object(Bucket="bucket", Key="key")
    return client, client.close


async def pymongo_sync(server: Server) -> Made:
    import pymongo

    client: Any = pymongo.MongoClient("mongodb://127.0.0.1:1")  # made
    return client, client.close


async def pymongo_async(server: Server) -> Made:
    import pymongo

    if not hasattr(pymongo, "AsyncMongoClient"):
        pytest.skip("pymongo < 4.9 has no asynchronous client")
    client: Any = pymongo.AsyncMongoClient("mongodb://127.0.0.1:1")  # made
    await client.aconnect()
    return client, client.close


async def motor_client(server: Server) -> Made:
    import motor.motor_asyncio
    import pymongo.errors

    url = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1"
    client: Any = motor.motor_asyncio.AsyncIOMotorClient(url)  # made
    with pytest.raises(pymongo.errors.ServerSelectionTimeoutError):
        await client.server_info()
    return client, client.close


async def websockets_async(server: Server) -> Made:
    import websockets.asyncio.client

    connection = await websockets.asyncio.client.connect(server("websocket_url"))  # made
    return connection, connection.close


async def websockets_sync(server: Server) -> Made:
    import websockets.sync.client

    connection = websockets.sync.client.connect(server("websocket_url")).__enter__()  # made
    return connection, connection.close


CASES: dict[Callable[[Server], Awaitable[Made]], str] = {
    httpx_sync: "httpx.Client",
    httpx_async: "httpx.AsyncClient",
    httpx2_sync: "httpx2.Client",
    httpx2_async: "httpx2.AsyncClient",
    openai_sync: "httpx*.Client",  # httpx or httpx2, by the version
    openai_async: "httpx*.AsyncClient",
    anthropic_async: "httpx*.AsyncClient",
    aiohttp_session: "aiohttp.ClientSession",
    requests_session: "requests.Session",
    redis_async: "redis.asyncio.Redis",
    redis_async_blocking_pool: "redis.asyncio.Redis",
    redis_sync: "redis.Redis",
    redis_sync_from_url: "redis.Redis",
    sqlalchemy_memory: "sqlalchemy.Engine",
    sqlalchemy_queue_pool: "sqlalchemy.Engine",
    sqlalchemy_static_pool: "sqlalchemy.Engine",
    sqlalchemy_async: "sqlalchemy.Engine",
    asyncpg_connection: "asyncpg.Connection",
    asyncpg_pool: "asyncpg.Pool",
    aiosqlite_connection: "aiosqlite.Connection",
    psycopg_sync: "psycopg.Connection",
    psycopg_async: "psycopg.AsyncConnection",
    psycopg_pool_sync: "psycopg_pool.ConnectionPool",
    psycopg_pool_async: "psycopg_pool.AsyncConnectionPool",
    grpc_channel: "grpc.aio.Channel",
    botocore_client: "botocore.BaseClient",
    aiobotocore_client: "aiobotocore.AioBaseClient",
    pymongo_sync: "pymongo.MongoClient",
    pymongo_async: "pymongo.AsyncMongoClient",
    motor_client: "pymongo.MongoClient",
    websockets_async: "websockets.ClientConnection",
    websockets_sync: "websockets.sync.ClientConnection",
}


@pytest.fixture(autouse=True)
def libraries() -> None:
    """Import the libraries before the tracker is installed, as an app would."""
    wrappers = ("openai", "anthropic", "motor.motor_asyncio", "sqlalchemy.ext.asyncio")
    for module in (*wrappers, *(probe.module for probe in BUILT_IN)):
        pytest.importorskip(module)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_a_client_is_seen_at_its_line_until_it_is_closed(
    case: Callable[[Server], Awaitable[Made]], server: Server, tracker: ClientTracker
) -> None:
    client, close = await case(server)
    [group] = [group for group in made_here(tracker) if group.owner is None]

    assert fnmatchcase(group.name, CASES[case])
    assert group.births == (BEFORE_THE_FIRST,)
    assert group.site is not None
    assert (group.site.path, group.site.line) == (__file__, line_marked_in(case))

    closing = close()
    if closing is not None:
        await closing
    assert made_here(tracker) == []
    del client


def made_here(tracker: ClientTracker) -> list[ClientGroup]:
    gc.collect()
    return [group for group in tracker.open_clients() if not group.before_run]


def line_marked_in(case: Callable[..., object]) -> int:
    lines, first = inspect.getsourcelines(case)
    return first + next(index for index, line in enumerate(lines) if "# made" in line)


async def test_an_unused_client_without_connections_is_not_open(tracker: ClientTracker) -> None:
    import redis
    import requests
    import sqlalchemy

    unused = (requests.Session(), redis.Redis(), sqlalchemy.create_engine("sqlite://"))

    assert made_here(tracker) == []
    del unused


async def test_the_connections_of_a_pool_are_the_pools(server: Server, tracker: ClientTracker) -> None:
    import asyncpg

    async with asyncpg.create_pool(server("postgres_url"), min_size=3) as pool, pool.acquire():
        groups = made_here(tracker)
        assert [group.name for group in groups if group.owner is None] == ["asyncpg.Pool"]
        assert {group.owner for group in groups} <= {None, "asyncpg.Pool"}
    assert made_here(tracker) == []


async def test_a_connection_that_an_async_engine_made_names_the_engine_and_the_apps_line(
    tmp_path: Any, tracker: ClientTracker
) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/database")
    async with engine.connect():  # the connection is made in a greenlet
        line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
        owned = [group for group in made_here(tracker) if group.owner == "sqlalchemy"]
    await engine.dispose()

    [group] = owned
    assert group.name == "aiosqlite.Connection"
    assert group.site is not None
    assert (group.site.path, group.site.line) == (__file__, line)
    assert made_here(tracker) == []


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_a_client_that_calls_an_app_in_the_same_process_holds_nothing(
    library: str, tracker: ClientTracker
) -> None:
    module = importlib.import_module(library)

    async def app(scope: object, receive: object, send: object) -> None: ...

    in_process = module.AsyncClient(transport=module.ASGITransport(app))

    assert made_here(tracker) == []
    del in_process


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_a_client_whose_network_is_mocked_must_be_closed_all_the_same(
    library: str, tracker: ClientTracker
) -> None:
    module = importlib.import_module(library)
    client = module.AsyncClient(transport=module.MockTransport(lambda request: module.Response(200)))

    assert [group.name for group in made_here(tracker)] == [f"{library}.AsyncClient"]

    await client.aclose()
    assert made_here(tracker) == []


async def test_starlettes_test_client_holds_nothing(tracker: ClientTracker) -> None:
    testclient = pytest.importorskip("starlette.testclient")

    client = testclient.TestClient(lambda scope: None)

    assert made_here(tracker) == []
    del client


async def test_every_probe_has_a_case() -> None:
    probed = {f"{probe.library}.{name}" for probe in BUILT_IN for name in probe.class_names}

    assert probed - set(CASES.values()) == set()
