"""Bodies that FastAPI validated are kept by the endpoint.

holder: models_kept.Store.items
"""

from fastapi import FastAPI
from pydantic import BaseModel

REQUEST = ("POST", "/items", {"name": "n" * 200, "tags": ["a", "b"]})


class Item(BaseModel):
    name: str
    tags: list[str]


class Store:
    items = []


app = FastAPI()


@app.post("/items")
async def add(item: Item):
    Store.items.append(item)  # LEAK
    return {"ok": True}
