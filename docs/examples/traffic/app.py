"""A Starlette app with the endpoints that the traffic of test_traffic.py needs."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


async def user(request: Request) -> Response:
    return JSONResponse({"user": request.path_params["name"]})


async def export(request: Request) -> Response:
    return StreamingResponse(iter([b"x" * 1000] * 10))


async def upload(request: Request) -> Response:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return JSONResponse({"bytes": size})


async def cart(request: Request) -> Response:
    return JSONResponse({"tenant": request.headers["x-tenant"], **await request.json()})


async def feed(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


app = Starlette(
    routes=[
        Route("/users/{name}", user),
        Route("/export", export),
        Route("/upload", upload, methods=["POST"]),
        Route("/cart", cart, methods=["POST"]),
        WebSocketRoute("/feed", feed),
    ]
)
