"""A FastAPI app with one healthy and one leaking endpoint."""

from fastapi import FastAPI

app = FastAPI()
history: list[bytes] = []  # never emptied: the leak


@app.get("/healthy")
async def healthy() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/leaky")
async def leaky() -> dict[str, int]:
    history.append(b"x" * 50_000)  # remembers 50 kB of every request
    return {"remembered": len(history)}
