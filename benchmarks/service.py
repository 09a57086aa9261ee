"""The service that the benchmarks drive: a pydantic echo, a 50 kB response, sqlite in the thread pool."""

from __future__ import annotations

import os
import sqlite3

import httpx
from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel


class Item(BaseModel):
    name: str
    price: float
    tags: list[str]
    attributes: dict[str, int]


class Order(BaseModel):
    id: int
    items: list[Item]


ORDER = Order(
    id=7,
    items=[Item(name=f"item {i}", price=i * 1.5, tags=["a", "b"], attributes={"x": i}) for i in range(5)],
).model_dump()


def make_app() -> FastAPI:
    """A fresh app."""
    app = FastAPI()
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("create table t(id integer primary key, a text, b real)")
    database.executemany("insert into t values(?,?,?)", [(i, f"x{i}", i * 1.5) for i in range(2000)])
    blob = os.urandom(25_600).hex()

    @app.post("/echo")
    async def echo(order: Order) -> Order:
        return order

    @app.get("/big")
    async def big() -> Response:
        return Response(blob, media_type="text/plain")

    @app.get("/db")
    def rows(low: int = 0) -> list[dict[str, object]]:
        found = database.execute("select * from t where id between ? and ?", (low, low + 40))
        return [{"id": row[0], "a": row[1], "b": row[2]} for row in found]

    return app


async def ten_requests(client: httpx.AsyncClient) -> None:
    """One iteration."""
    for i in range(10):
        if i % 3 == 0:
            response = await client.post("/echo", json=ORDER)
        elif i % 3 == 1:
            response = await client.get("/big")
        else:
            response = await client.get("/db", params={"low": i})
        assert response.status_code == 200
