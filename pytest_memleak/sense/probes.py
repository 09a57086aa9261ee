"""Which classes are clients, and how to see whether one is still open.

A library that has not been imported costs a dictionary lookup: probes look in `sys.modules` and
never import anything. openai, anthropic and motor need no entry: the httpx and pymongo clients
inside them are seen, with the line of the code that made the outer one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientProbe:
    """Classes of one library whose instances must be closed.

    Args:
        library: how reports call it: ``library.Class``.
        module: the key in `sys.modules` of the module that has the classes.
        class_names: the names of the classes in that module.
        is_open: whether an instance holds something that closing it would free; an exception
            counts as "not open".
        closes_on_collect: whether the library itself closes, without a warning, an instance that
            is garbage-collected; dropping one is then worth a note, not a failure.
    """

    library: str
    module: str
    class_names: tuple[str, ...]
    is_open: Callable[[Any], bool]
    closes_on_collect: bool = False

    def classes(self) -> Iterator[tuple[str, type]]:
        """The name and class of each class whose module is already imported."""
        module = sys.modules.get(self.module)
        if module is None:
            return
        # A lazily loaded module would be imported by an ordinary attribute access.
        namespace = object.__getattribute__(module, "__dict__")
        for name in self.class_names:
            cls = namespace.get(name)
            if isinstance(cls, type):
                yield name, cls


# Transports that call the application in the same process: there is nothing to close. A MockTransport stands for
# a network in production.
_IN_PROCESS = frozenset({"ASGITransport", "WSGITransport", "_TestClientTransport"})


def _httpx_is_open(client: Any) -> bool:
    if client.is_closed:
        return False
    transports = (client._transport, *client._mounts.values())
    return any(
        transport is not None and _IN_PROCESS.isdisjoint(cls.__name__ for cls in type(transport).__mro__)
        for transport in transports
    )


def _requests_is_open(session: Any) -> bool:
    """A session that never connected, or was closed, has no connection pools."""
    return any(len(adapter.poolmanager.pools) for adapter in session.adapters.values())


def _redis_is_open(client: Any) -> bool:
    pool = client.connection_pool
    connections = getattr(pool, "_connections", ())  # BlockingConnectionPool
    if not connections:
        connections = (*pool._available_connections, *pool._in_use_connections)
    return any(_redis_connected(connection) for connection in connections)


def _redis_connected(connection: Any) -> bool:
    connected = getattr(connection, "is_connected", None)
    if connected is None:  # redis-py < 6, synchronous
        return getattr(connection, "_sock", None) is not None
    return bool(connected)


def _engine_is_open(engine: Any) -> bool:
    """An engine is open while its pool holds a connection; each pool class counts in its own way."""
    pool = engine.pool
    if hasattr(pool, "checkedin"):  # QueuePool and its asyncio sibling
        return bool(pool.checkedin() + pool.checkedout() > 0)
    if hasattr(pool, "_all_conns"):  # SingletonThreadPool
        return bool(pool._all_conns)
    record = vars(pool).get("connection") or vars(pool).get("_conn")  # StaticPool, AssertionPool
    return getattr(record, "dbapi_connection", None) is not None


def _asyncpg_is_open(connection: Any) -> bool:
    """A connection that a pool holds is the pool's to close; asyncpg tells since 0.32."""
    return not connection.is_closed() and getattr(connection, "_pool_holder", None) is None


def _psycopg_is_open(connection: Any) -> bool:
    return not connection.closed and getattr(connection, "_pool", None) is None


def _botocore_is_open(client: Any) -> bool:
    session = client._endpoint.http_session
    managers = (session._manager, *session._proxy_managers.values())
    return any(len(manager.pools) for manager in managers)


def _aiobotocore_is_open(client: Any) -> bool:
    """It makes an aiohttp session for each proxy at the first request."""
    return bool(client._endpoint.http_session._sessions)


def _websockets_is_open(connection: Any) -> bool:
    return bool(connection.protocol.state.name != "CLOSED")


def _pymongo_is_open(client: Any) -> bool:
    """A client that never connected has no sockets and no monitor threads."""
    return client._topology is not None and bool(client._topology._opened)


_HTTPX = ("Client", "AsyncClient")
_MONGO = ("MongoClient", "AsyncMongoClient")

BUILT_IN: tuple[ClientProbe, ...] = (
    ClientProbe(library="httpx", module="httpx", class_names=_HTTPX, is_open=_httpx_is_open),
    ClientProbe(library="httpx2", module="httpx2", class_names=_HTTPX, is_open=_httpx_is_open),
    ClientProbe(
        library="aiohttp",
        module="aiohttp",
        class_names=("ClientSession",),
        is_open=lambda session: not session.closed,
    ),
    ClientProbe(
        library="requests",
        module="requests",
        class_names=("Session",),
        is_open=_requests_is_open,
        closes_on_collect=True,
    ),
    ClientProbe(library="redis.asyncio", module="redis.asyncio", class_names=("Redis",), is_open=_redis_is_open),
    ClientProbe(
        library="redis",
        module="redis",
        class_names=("Redis",),
        is_open=_redis_is_open,
        closes_on_collect=True,
    ),
    # The synchronous engine inside an AsyncEngine is the same class: each engine counts once.
    ClientProbe(
        library="sqlalchemy",
        module="sqlalchemy.engine.base",
        class_names=("Engine",),
        is_open=_engine_is_open,
        closes_on_collect=True,
    ),
    ClientProbe(
        library="asyncpg",
        module="asyncpg.pool",
        class_names=("Pool",),
        is_open=lambda pool: pool._initialized and not pool._closed,
    ),
    ClientProbe(
        library="asyncpg",
        module="asyncpg.connection",
        class_names=("Connection",),
        is_open=_asyncpg_is_open,
    ),
    ClientProbe(
        library="aiosqlite",
        module="aiosqlite",
        class_names=("Connection",),
        is_open=lambda connection: connection._connection is not None,
    ),
    ClientProbe(
        library="psycopg",
        module="psycopg",
        class_names=("Connection", "AsyncConnection"),
        is_open=_psycopg_is_open,
    ),
    ClientProbe(
        library="psycopg_pool",
        module="psycopg_pool",
        class_names=("ConnectionPool", "AsyncConnectionPool"),
        is_open=lambda pool: not pool.closed,
        closes_on_collect=True,
    ),
    ClientProbe(
        library="grpc.aio",
        module="grpc.aio._channel",
        class_names=("Channel",),
        is_open=lambda channel: not channel._channel.closed(),
        closes_on_collect=True,
    ),
    ClientProbe(
        library="aiobotocore",
        module="aiobotocore.client",
        class_names=("AioBaseClient",),
        is_open=_aiobotocore_is_open,
    ),
    ClientProbe(
        library="botocore",
        module="botocore.client",
        class_names=("BaseClient",),
        is_open=_botocore_is_open,
        closes_on_collect=True,
    ),
    ClientProbe(library="pymongo", module="pymongo", class_names=_MONGO, is_open=_pymongo_is_open),
    ClientProbe(
        library="websockets",
        module="websockets.asyncio.client",
        class_names=("ClientConnection",),
        is_open=_websockets_is_open,
    ),
    ClientProbe(
        library="websockets.sync",
        module="websockets.sync.client",
        class_names=("ClientConnection",),
        is_open=_websockets_is_open,
    ),
)
