"""Recorded traffic, a HAR file or an access log, as requests of a mix in their recorded order."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from pytest_memleak.drive.app import DriveError
from pytest_memleak.drive.traffic import WEBSOCKET, Request

_LOGGED = re.compile(
    r'"(?P<method>[A-Z]+) (?P<target>\S+)(?: HTTP/[\d.]+)?" \d{3}(?: (?:\d+|-)(?: "[^"]*" "(?P<agent>[^"]*)")?)?'
)
"""The request of a line in Common or Combined Log Format, and of uvicorn's own access log."""

_OF_THE_CONNECTION = {"host", "content-length", "connection", "transfer-encoding", "upgrade", "keep-alive"}


def recorded_traffic(path: str | os.PathLike[str], *, host: str | None = None, limit: int = 10_000) -> list[Request]:
    """The requests that a HAR file or an access log (Common, Combined or uvicorn's) recorded, for `memleak.send`.

    They keep their order, so that sending some of them in every iteration follows the recorded mix. An access log
    has no bodies: what it says of a POST is sent without one.

    Args:
        path: the file; one whose name ends in ``.har`` is a HAR file.
        host: of a HAR file the requests to this host; by default the most frequent one.
        limit: at most so many requests, from the beginning.

    Raises:
        DriveError: when the file cannot be read or holds no request.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            is_har = os.fspath(path).endswith(".har")
            found = _from_har(json.load(file), host) if is_har else _from_log(file)
            requests = list(islice(found, limit))
    except OSError as error:
        raise DriveError(f"the recorded traffic {os.fspath(path)!r} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DriveError(f"{os.fspath(path)!r} is not a HAR file ({type(error).__name__}: {error})") from None
    if not requests:
        raise DriveError(
            f"{os.fspath(path)!r} holds no request: expected a HAR file (*.har) or lines in Common or Combined Log "
            'Format, like 127.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "GET /health HTTP/1.1" 200 2'
        )
    return requests


def _from_log(lines: Iterable[str]) -> Iterator[Request]:
    for line in lines:
        found = _LOGGED.search(line)
        if found is None:
            continue
        agent = found["agent"]
        headers = {"user-agent": agent} if agent and agent != "-" else None
        yield Request(found["method"], _target(found["target"]), headers=headers)


def _from_har(document: Mapping[str, Any], host: str | None) -> Iterator[Request]:
    entries = document["log"]["entries"]
    hosts = Counter(urlsplit(entry["request"]["url"]).netloc for entry in entries)
    wanted = host or (hosts.most_common(1)[0][0] if hosts else "")
    for entry in entries:
        request = entry["request"]
        url = urlsplit(request["url"])
        if url.netloc != wanted:
            continue
        headers = {
            header["name"].lower(): header["value"]
            for header in request.get("headers", ())
            if not header["name"].startswith(":") and header["name"].lower() not in _OF_THE_CONNECTION
        }
        if url.scheme in ("ws", "wss"):
            headers = {name: value for name, value in headers.items() if not name.startswith("sec-websocket")}
            sent = [message["data"] for message in entry.get("_webSocketMessages", ()) if message["type"] == "send"]
            yield Request(WEBSOCKET, _target(request["url"]), headers=headers, messages=sent)
        else:
            body = (request.get("postData") or {}).get("text")
            yield Request(request["method"], _target(request["url"]), headers=headers, content=body)


def _target(url: str) -> str:
    """Path and query, with braces escaped: what was recorded holds no ``{n}``."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return target.replace("{", "%7B").replace("}", "%7D")
