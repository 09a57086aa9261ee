"""Flask, a WSGI app: httpx calls it in this process, without a server and without an event loop."""

import httpx
from flask import Flask

app = Flask(__name__)
kept = []


@app.get("/healthy")
def healthy():
    return "ok"


@app.get("/leaky")
def leaky():
    kept.append(bytearray(20_000))  # the leak
    return "ok"


@app.get("/stream")
def stream():
    return (b"x" * 1_000 for _ in range(10))


@app.get("/unclosed")
def unclosed():
    client = httpx.Client(verify=False)  # the open client
    return str(client.is_closed)
