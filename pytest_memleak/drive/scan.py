"""The operations of an app that is scanned, and one iteration of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

from pytest_memleak.drive.app import AppUnderTest
from pytest_memleak.drive.client import BASE_URL
from pytest_memleak.drive.iterate import Drive, NotMeasured
from pytest_memleak.drive.traffic import WEBSOCKET, Request

HOOK = "pytest_memleak_scan_operation"
_DOCUMENTS = (
    "/openapi.json",
    "/schema/openapi.json",
    "/api/openapi.json",
    "/api/v1/openapi.json",
    "/swagger.json",
    "/api/schema/?format=json",
)
"""Where FastAPI, Litestar, Quart-Schema, BlackSheep, Django REST and others serve their OpenAPI document."""
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "query")
_UNASKED = {"HEAD", "OPTIONS"}
"""What routes answer without anybody having written it."""
_PATIENCE = 3
"""Iterations in which an operation must have answered once."""


@dataclass(slots=True)
class ScanOperation:
    """One operation of a scanned app, for the hook `pytest_memleak_scan_operation` to complete.

    Args:
        method: the HTTP method, or ``WEBSOCKET``.
        path: its path as the app declares it, such as ``/users/{user_id}``.
        document: the app's OpenAPI document; None when the operation is known from its route alone.
        app: the app, for instance to set `app.dependency_overrides`.
        parameters: values of path, query and header parameters by name; the others are generated. ``{n}`` in a
            text becomes a number of its own in every request. Without a document, what is not in the path is
            sent as query.
        headers: further headers.
        cookies: further cookies.
        json: the body, instead of generated ones.
        messages: what a websocket client sends.
        requests: sent instead of generated ones, for all that a `Request` can do: streamed uploads, slow clients,
            weights; entries as for `memleak.send`, given the headers and cookies above where they have none.
        concurrency: how many clients send at the same time.
        new_clients: every request comes from a new client, without the cookies of the one before.
        settings: arguments of the marker, such as ``{"max_growth": "64B/request"}``.
        skip: why the operation is not to be scanned; empty scans it.
    """

    method: str
    path: str
    _: KW_ONLY
    document: Mapping[str, Any] | None = field(default=None, repr=False)
    app: Any = field(default=None, repr=False)
    parameters: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    json: Any = None
    messages: list[str | bytes] = field(default_factory=lambda: ["memleak {n}"])
    requests: Sequence[Any] = ()
    concurrency: int = 1
    new_clients: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    skip: str = ""

    @property
    def name(self) -> str:
        """``GET /users/{user_id}``."""
        return f"{self.method} {self.path}"


async def find_operations(app: Any) -> list[ScanOperation]:
    """The operations of `app`: from its OpenAPI document, its websocket routes and its mounted apps.

    Without a document every route counts. Nothing is started: the document is asked for before the lifespan.
    """
    document = await _find_document(app)
    found = list(_documented(document)) if document else []
    for path, methods, mounted in _routes(app):
        if mounted is not None:
            for inner in await find_operations(mounted):
                inner.path = path + inner.path
                inner.document = None if inner.document is None else _moved(inner.document, path)
                found.append(inner)
        elif document is None or methods == (WEBSOCKET,):
            found += [ScanOperation(method, path) for method in methods]
    return list({operation.name: operation for operation in found}.values())


def _documented(document: Mapping[str, Any]) -> Iterator[ScanOperation]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if isinstance(item, Mapping) and method in item:
                yield ScanOperation(method.upper(), path, document=document)


def _routes(app: Any, prefix: str = "") -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Path, methods and mounted app of each route, as Starlette and what builds on it keeps them."""
    for route in getattr(app, "routes", None) or ():
        included = getattr(route, "original_router", None)
        if included is not None:  # FastAPI keeps the routers it includes whole
            inner_prefix = getattr(getattr(route, "include_context", None), "prefix", "")
            yield from _routes(included, prefix + inner_prefix)
            continue
        path = prefix + str(getattr(route, "path", ""))
        inner, methods = getattr(route, "app", None), _methods(route)
        if type(route).__name__.endswith("WebSocketRoute"):
            yield path, (WEBSOCKET,), None
        elif methods:
            yield path, methods, None
        elif getattr(inner, "routes", None):
            yield path.rstrip("/"), (), inner


def _methods(route: Any) -> tuple[str, ...]:
    """The methods of a route: what it says, or what its endpoint class has."""
    methods = getattr(route, "methods", None)
    if not methods:
        endpoint = getattr(route, "endpoint", None)
        methods = [name.upper() for name in _METHODS if isinstance(endpoint, type) and hasattr(endpoint, name)]
    return tuple(sorted(set(methods) - _UNASKED))


def _moved(document: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {**document, "paths": {prefix + path: item for path, item in document["paths"].items()}}


async def _find_document(app: Any) -> Mapping[str, Any] | None:
    """The app's OpenAPI document: asked of the app object, else of the places where frameworks serve it."""
    try:
        made = app.openapi()
    except Exception:  # no such method, or one of another framework
        made = None
    if _is_document(made):
        return made  # type: ignore[no-any-return]
    announced = getattr(app, "openapi_url", None)
    places = [*([announced] if isinstance(announced, str) else ()), *_DOCUMENTS]
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, follow_redirects=True) as client:
        for place in places:
            try:
                answer = (await client.get(place, headers={"accept": "application/json"})).json()
            except Exception:  # an app may do anything before its startup
                continue
            if _is_document(answer):
                return answer  # type: ignore[no-any-return]
    return None


def _is_document(candidate: Any) -> bool:
    return isinstance(candidate, Mapping) and isinstance(candidate.get("paths"), Mapping) and bool(candidate["paths"])


_PLACEHOLDER = re.compile(r"\{(\w+)(?::(\w+))?[^}]*\}")
_BY_CONVERTOR = {
    "int": ("1", "{n}"),
    "float": ("1.5", "{n}.5"),
    "uuid": ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-{n:12}"),
}


def requests_of_route(operation: ScanOperation) -> list[Request]:
    """Requests for an operation that is known from its route alone: a usual value, and a unique one."""

    def path(which: int) -> str:
        def value(found: re.Match[str]) -> str:
            name, convertor = found[1], found[2] or "str"
            if name in operation.parameters:
                return str(operation.parameters[name])
            return _BY_CONVERTOR.get(convertor, ("memleak", "memleak-{n}"))[which]

        return _PLACEHOLDER.sub(value, operation.path) + (f"?{urlencode(query, safe='{}:')}" if query else "")

    in_path = {found[0] for found in _PLACEHOLDER.findall(operation.path)}
    query = {name: value for name, value in operation.parameters.items() if name not in in_path}

    return [
        Request(
            operation.method,
            target,
            json=operation.json,
            headers=operation.headers,
            cookies=operation.cookies,
            messages=operation.messages if operation.method == WEBSOCKET else (),
        )
        for target in dict.fromkeys((path(0), path(1)))
    ]


class ScanTraffic:
    """The iterations of one scanned operation.

    Args:
        drive: of the app.
        operation: what is scanned.
        requests: sent in turn.
        count: requests an iteration.
    """

    def __init__(self, drive: Drive, operation: ScanOperation, requests: Sequence[Request], count: int) -> None:
        self._drive = drive
        self._operation = operation
        self._requests = requests
        self._count = count
        self._statuses: Counter[int] = Counter()
        self._answer = ""

    async def iteration(self) -> None:
        """Send the requests of one iteration.

        Raises:
            NotMeasured: when none of the first iterations' requests had an answer below 400.
        """
        operation = self._operation
        for response in await self._drive.send(
            self._requests, count=self._count, concurrency=operation.concurrency, new_clients=operation.new_clients
        ):
            self._statuses[response.status_code] += 1
            if response.status_code >= 400:
                self._answer = response.text[:160]
        answered = any(status < 400 for status in self._statuses)
        if not answered and sum(self._statuses.values()) >= _PATIENCE * self._count:
            raise NotMeasured(why_not_measured(operation, self._statuses, self._drive.app, self._answer))


def why_not_measured(operation: ScanOperation, statuses: Counter[int], app: AppUnderTest, answer: str) -> str:
    """The statuses of an operation that only fails, and what to do about it."""
    total = sum(statuses.values())
    shown = ", ".join(f"{status} x {count}" for status, count in statuses.most_common())
    worst = statuses.most_common(1)[0][0]
    said = app.last_error if worst >= 500 and app.last_error else answer
    remedy = _remedy(operation, worst, answer)
    return (
        f"all {total} requests to {operation.name} were answered with errors ({shown}); {remedy}"
        + (app.hint if worst >= 500 else "")
        + (f". The app said: {said}" if said else "")
    )


def _remedy(operation: ScanOperation, status: int, answer: str) -> str:
    if status in (400, 403, 421) and "host header" in answer.lower():
        return 'the app answers to hosts it knows: set memleak_scan_headers = ["Host: localhost"] in the configuration'
    if status in (401, 403, 407):
        return (
            f'set operation.headers["Authorization"], operation.cookies or operation.app.dependency_overrides in the '
            f"hook {HOOK}, or memleak_scan_headers in the configuration"
        )
    if status == 405:
        return f"the app does not allow {operation.method} here; leave it out with memleak_scan_exclude"
    if status >= 500:
        return f"repair what it needs in a test environment, or set operation.skip in the hook {HOOK}"
    names = _PLACEHOLDER.findall(operation.path)
    which = f'operation.parameters["{names[0][0]}"]' if names else "operation.parameters, .json or .requests"
    return f"give values that exist: set {which} in the hook {HOOK}"
