"""Valid requests for one operation of an OpenAPI document, made once and before anything is measured."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import cycle, islice
from typing import Any
from urllib.parse import urlsplit

from pytest_memleak.drive.app import DriveError
from pytest_memleak.drive.client import BASE_URL
from pytest_memleak.drive.scan import ScanOperation, requests_of_route
from pytest_memleak.drive.traffic import Request, parse_mix
from pytest_memleak.drive.usual import usual

NEEDS_SCHEMATHESIS = "making requests from one needs schemathesis: pip install 'pytest-memleak[scan]'"

ROUND = 10
"""Requests until the traffic of an operation repeats."""
_GENERATED = ROUND // 2
_HEARD_CHUNKS = 100
"""A client leaves an endless response after so many chunks."""
_MARK = 987_650_123
"""Stands for ``{n}`` while a request is made: a number and a text of digits in one."""
_PLACEHOLDER = re.compile("%7Bn%7D", re.IGNORECASE)
"""``{n}`` of a parameter that the user gave, as URLs are written."""
_UNIQUE: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
    ("{n}", _MARK, (1, _MARK)),
    ("00000000-0000-4000-8000-{n:12}", f"00000000-0000-4000-8000-000{_MARK}", ("uuid",)),
    ("memleak-{n}", f"memleak-{_MARK}", ("memleak-1", f"memleak-{_MARK}")),
)
"""Unique values: as they are sent, as they are while the request is made, and what must be valid for them."""
_NAMES_SOMETHING = re.compile(r"(^|[_-])(id|pk|key|number|no)$|[a-z](Id|ID|Key)$")
_OWN_HEADERS = {"user-agent", "connection", "accept-encoding", "content-length", "x-schemathesis-testcaseid"}

Fits = Callable[[Any], bool]


def requests_for(operation: ScanOperation) -> list[Request]:
    """The traffic of one operation: generated values, unique values, and one client in ten that hangs up.

    Raises:
        DriveError: when schemathesis is not installed, or the document does not describe the operation.
    """
    if operation.requests:
        return [_completed(operation, request) for request in parse_mix(operation.requests)]
    requests = requests_of_route(operation) if operation.document is None else _documented(operation)
    whole = [
        replace(request, hang_up_after=None if request.messages else _HEARD_CHUNKS)
        for request in islice(cycle(requests), ROUND)
    ]
    return [*whole[:-1], replace(whole[-1], hang_up_after=1)]


def _completed(operation: ScanOperation, request: Request) -> Request:
    """A request of the user's own with the headers and cookies that the scan was given."""
    headers = _over(operation.headers, request.headers or {})
    return replace(request, headers=headers, cookies=request.cookies or operation.cookies)


def _over(under: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """Headers of both, those of `over` where both have one: their case does not matter."""
    taken = {name.lower() for name in over}
    return {**{name: value for name, value in under.items() if name.lower() not in taken}, **over}


def _documented(operation: ScanOperation) -> list[Request]:
    assert operation.document is not None
    document = dict(operation.document)
    try:
        described, narrowed = (_described(operation, document) for document in (document, usual(document)))
        cases = _cases(operation, narrowed)
    except ImportError:
        raise DriveError(NEEDS_SCHEMATHESIS) from None
    except Exception as error:
        said = " ".join(str(error).split())
        raise DriveError(
            f"no request could be made from the OpenAPI document: {type(error).__name__}: {said}; give the values in "
            "the hook pytest_memleak_scan_operation, or leave the operation out with memleak_scan_exclude"
        ) from error
    prefix = _base_path(operation)
    generated = [_request(operation, case, prefix) for case in cases]
    unique = [
        _with_numbers(_request(operation, case, prefix)) for case in cases if _make_unique(operation, case, described)
    ]
    return [request for pair in zip(generated, unique, strict=True) for request in pair] if unique else generated


def _described(operation: ScanOperation, document: dict[str, Any]) -> Any:
    import schemathesis.openapi

    schema = schemathesis.openapi.from_dict(document)
    # Readable texts: requests are to be valid, not to torture the parser.
    schema.config.generation.update(codec="ascii", allow_x00=False, allow_extra_parameters=False)
    # Credentials of chance are never valid, and refused where none at all would do.
    schema.config.generation.update(with_security_parameters=False)
    return schema[operation.path][operation.method]


def _cases(operation: ScanOperation, described: Any) -> list[Any]:
    """Examples of the document first, then generated cases; the same ones in every run."""
    from hypothesis import HealthCheck, Phase, given, settings

    cases: list[Any] = []
    names = operation.parameters
    fixed = {
        place: {p.name: names[p.name] for p in getattr(described, place) if p.name in names}
        for place in ("path_parameters", "query", "headers", "cookies")
    }
    declared = {parameter.name.lower(): parameter.name for parameter in described.headers}
    fixed["headers"] |= {
        declared[name.lower()]: value for name, value in operation.headers.items() if name.lower() in declared
    }
    given_values: dict[str, Any] = {place: values for place, values in fixed.items() if values}
    if operation.json is not None:
        given_values["body"] = operation.json
    strategies = [*described.get_strategies_from_examples(**given_values), described.as_strategy(**given_values)]
    for strategy in strategies:

        @settings(
            max_examples=_GENERATED,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def collect(case: Any) -> None:
            cases.append(case)

        collect()
    if not cases:
        raise DriveError("no valid values exist for its parameters")
    return cases[:_GENERATED]


def _base_path(operation: ScanOperation) -> str:
    """The path of the document's server, where the app has not put it into the paths itself."""
    servers = (operation.document or {}).get("servers") or [{}]
    url = servers[0].get("url", "") if isinstance(servers[0], Mapping) else ""
    # FastAPI's server is its root_path, which a proxy takes away.
    return "" if hasattr(operation.app, "root_path") else urlsplit(str(url)).path.rstrip("/")


def _request(operation: ScanOperation, case: Any, prefix: str) -> Request:
    """The request that schemathesis would send, as plain values: nothing of the generator stays."""
    import requests

    wanted = ("method", "url", "params", "headers", "cookies", "json", "data", "files")
    given_values = case.as_transport_kwargs(base_url=BASE_URL + prefix)
    prepared = requests.Request(**{name: given_values[name] for name in wanted if name in given_values}).prepare()
    headers = {name: _text(value) for name, value in prepared.headers.items() if name.lower() not in _OWN_HEADERS}
    body: Any = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    if operation.cookies:
        headers.pop("Cookie", None)
    return Request(
        operation.method,
        _PLACEHOLDER.sub("{n}", (prepared.url or "").removeprefix(BASE_URL)),
        content=body,
        headers=_over(headers, operation.headers),
        cookies=operation.cookies or None,
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _make_unique(operation: ScanOperation, case: Any, described: Any) -> bool:
    """Put unique values wherever the document (`described`) allows any; False when it does so nowhere."""
    changed, given_headers = False, {name.lower() for name in operation.headers}
    for parameters, values in (
        (described.path_parameters, case.path_parameters),
        (described.query, case.query),
        (described.headers, case.headers),
    ):
        for parameter in parameters:
            if parameter.name in operation.parameters or parameter.name.lower() in given_headers:
                continue
            schema = parameter.definition.get("schema", parameter.definition)
            mark = _unique_value(schema, parameter.is_valid, counts=_counts(operation, parameter.name))
            if mark is not None and values is not None:
                values[parameter.name] = mark if isinstance(values.get(parameter.name), int) else str(mark)
                changed = True
    if isinstance(case.body, dict) and operation.json is None:
        for name, mark in _unique_properties(case, described):
            case.body[name] = mark
            changed = True
    return changed


def _unique_properties(case: Any, described: Any) -> Iterator[tuple[str, Any]]:
    """Unique values for the properties of a JSON body that allow them."""
    for body in described.body:
        if body.media_type != case.media_type:
            continue
        schema = body.definition.get("schema") or {}
        bundled = schema.get("x-bundled", {}).get(str(schema.get("$ref", "")).rpartition("/")[2], schema)
        for name, inner in bundled.get("properties", {}).items():
            if name not in case.body:
                continue

            def fits(value: Any, name: str = name, body: Any = body) -> bool:
                return bool(body.is_valid({**case.body, name: value}))

            mark = _unique_value(inner, fits, counts=not _NAMES_SOMETHING.search(name))
            if mark is not None:
                yield name, mark


def _counts(operation: ScanOperation, name: str) -> bool:
    """Whether a numeric parameter says how much, like a limit or a width, and not which one."""
    return f"/{{{name}}}/" not in f"{operation.path}/" and not _NAMES_SOMETHING.search(name)


def _unique_value(schema: Any, fits: Fits, *, counts: bool) -> Any:
    """The mark that stands for a unique value under `schema`, None where its values are given.

    A number that counts stays as it is: asking for more each time would look like a leak.
    """
    text = json.dumps(schema, default=str)
    if any(word in text for word in ('"enum"', '"const"', '"pattern"', '"$ref"', '"binary"', '"boolean"')):
        return None
    for _, mark, must_fit in _UNIQUE:
        if must_fit == ("uuid",):
            if '"format": "uuid"' in text:
                return mark
            if '"format"' in text and "int" not in text:
                return None  # a date, an address: what is free in it only the generator knows
        elif all(fits(value) for value in must_fit) and not (counts and mark == _MARK):
            return mark
    return None


def _with_numbers(request: Request) -> Request:
    """`request` with ``{n}`` for the mark."""

    def put(text: str) -> str:
        return text.replace(f"000{_MARK}", "{n:12}").replace(str(_MARK), "{n}")

    body = request.content
    return replace(
        request,
        path=put(request.path),
        content=put(body.decode("latin-1")).encode("latin-1") if isinstance(body, bytes) else body,
        headers={name: put(value) for name, value in (request.headers or {}).items()},
    )
