"""model_rebuild(force=True) on mutually recursive models."""

from typing import Annotated, Literal, Union

from pydantic import BaseModel, Field

Node = Annotated[Union["Leaf", "Branch", "Forest"], Field(discriminator="kind")]


class Leaf(BaseModel):
    kind: Literal["leaf"]
    value: int = 0


class Branch(BaseModel):
    kind: Literal["branch"]
    children: list[Node] = []


class Forest(BaseModel):
    kind: Literal["forest"]
    left: list[Node] = []
    right: list[Node] = []


def work():
    """A plug-in host rebuilds its recursive models after each (un)registration."""
    for model in (Forest, Branch, Leaf):
        model.model_rebuild(force=True)
    Branch.model_validate({"kind": "branch", "children": [{"kind": "leaf", "value": 1}]})


REQUEST = ("GET", "/plugins")


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    status, text = 200, "ok"
    try:
        work()
    except Exception as exc:  # a broken case must not look like a clean one
        status, text = 599, repr(exc)
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})
