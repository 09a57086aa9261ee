"""Databases behind a thread of their own."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

SLOW_QUERY = "with recursive t(x) as (select 1 union all select x + 1 from t where x < 300000) select count(*) from t"


@pytest.fixture
def database():
    engine = create_async_engine("sqlite+aiosqlite://", pool_recycle=3600)
    connects = []
    sa.event.listen(engine.sync_engine, "connect", lambda connection, _record: connects.append(connection))
    return engine, connects


async def test_a_slow_query_never_times_out(clock, database):
    engine, _ = database

    async def ticking():
        while True:
            await asyncio.sleep(0.01)

    ticker = asyncio.create_task(ticking())
    for _ in range(20):
        async with asyncio.timeout(0.5), engine.connect() as connection:
            assert (await connection.execute(sa.text("select 1"))).scalar() == 1
    async with asyncio.timeout(0.5), engine.connect() as connection:
        assert (await connection.execute(sa.text(SLOW_QUERY))).scalar() == 300_000
    assert clock.now == 0
    ticker.cancel()
    await engine.dispose()


async def test_pool_recycle_recycles_after_its_simulated_hour(clock, database):
    engine, connects = database

    async def query():
        async with engine.connect() as connection:
            await connection.execute(sa.text("select 1"))

    await query()
    await clock.advance_to(3500)
    await query()
    assert len(connects) == 1
    await clock.advance_to(3700)
    await query()
    assert len(connects) == 2
    await engine.dispose()
