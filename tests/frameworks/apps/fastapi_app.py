"""FastAPI: dependencies with `yield`, pydantic models, background tasks."""

import contextlib
from typing import Annotated

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

kept = []
worked = 0


class Answer(BaseModel):
    text: str


@contextlib.asynccontextmanager
async def lifespan(app):
    async with httpx.AsyncClient(verify=False) as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


def shared_client(request: Request) -> httpx.AsyncClient:
    return request.app.state.client


async def own_client():
    async with httpx.AsyncClient(verify=False) as client:
        yield client


async def unclosed_client():
    yield httpx.AsyncClient(verify=False)  # the open client


@app.get("/healthy")
async def healthy() -> Answer:
    return Answer(text="ok")


@app.get("/leaky")
async def leaky() -> Answer:
    kept.append(bytearray(20_000))  # the leak
    return Answer(text="ok")


@app.get("/stream")
async def stream():
    async def chunks():
        for _ in range(10):
            yield b"x" * 1_000

    return StreamingResponse(chunks())


async def work():
    global worked
    worked += 1


@app.get("/background")
async def background(tasks: BackgroundTasks) -> Answer:
    tasks.add_task(work)
    return Answer(text="ok")


@app.get("/leaky_background")
async def leaky_background(tasks: BackgroundTasks) -> Answer:
    tasks.add_task(kept.append, bytearray(20_000))  # the leak behind
    return Answer(text="ok")


@app.get("/in_thread")
def in_thread() -> Answer:
    return Answer(text="ok")


@app.get("/injected")
async def injected(
    shared: Annotated[httpx.AsyncClient, Depends(shared_client)], own: Annotated[httpx.AsyncClient, Depends(own_client)]
) -> Answer:
    return Answer(text=f"{shared.is_closed} {own.is_closed}")


@app.get("/unclosed")
async def unclosed(client: Annotated[httpx.AsyncClient, Depends(unclosed_client)]) -> Answer:
    return Answer(text=str(client.is_closed))


@app.websocket("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


@app.websocket("/leaky_echo")
async def leaky_echo(websocket: WebSocket):
    await websocket.accept()
    kept.append(bytearray(20_000))  # the leak in the socket
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()
