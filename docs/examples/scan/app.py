"""A FastAPI app that keeps every report it has rendered."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException

app = FastAPI()
rendered: dict[int, bytes] = {}  # never emptied: the leak


def current_user() -> str:
    raise HTTPException(401)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/reports/{report_id}")
async def report(report_id: int, user: Annotated[str, Depends(current_user)]) -> dict[str, int]:
    rendered.setdefault(report_id, bytes(100_000))
    return {"reports": len(rendered)}


@app.get("/prices/{currency}")
async def price(currency: str) -> dict[str, str]:
    if currency not in ("EUR", "USD"):
        raise HTTPException(404, "no such currency")
    return {"currency": currency}


@app.post("/payments")
async def pay(cents: int) -> dict[str, int]:
    return {"paid": cents}
