"""A list in app.state.

holder: app_state.app.state.seen
"""

from fastapi import FastAPI, Request

app = FastAPI()
app.state.seen = []


@app.get("/")
async def see(request: Request):
    request.app.state.seen.append({"path": str(request.url.path), "size": 12})  # LEAK
    return {"seen": 1}
