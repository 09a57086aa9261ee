"""A FastAPI app with two healthy endpoints."""

from collections import deque

from fastapi import FastAPI

app = FastAPI()
history: deque[bytes] = deque(maxlen=100)  # the last 100 requests


@app.get("/healthy")
async def healthy() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/leaky")
async def leaky() -> dict[str, int]:
    history.append(b"x" * 50_000)
    return {"remembered": len(history)}
