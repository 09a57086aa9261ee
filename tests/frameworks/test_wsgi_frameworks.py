"""A WSGI app has no event loop: httpx's WSGITransport calls it from a plain test function."""

from __future__ import annotations

import pytest

TESTS = """
import httpx
import pytest
from app import app

@pytest.fixture
def client():
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://testserver") as client:
        yield client

@pytest.mark.memleak
@pytest.mark.parametrize("name", ["healthy", "stream", "leaky", "unclosed"])
def test_http(client, name):
    for _ in range(3):
        assert client.get(f"/{name}").status_code == 200
"""


def test_flask(check_app):
    pytest.importorskip("flask")

    checked = check_app("flask", TESTS)

    assert checked.verdicts() == {
        "test_http[healthy]": "passed",
        "test_http[stream]": "passed",
        "test_http[leaky]": "leak",
        "test_http[unclosed]": "leak",
    }
    assert checked.said["test_http[leaky]"]["top_line"] == checked.line_of("# the leak")
    assert checked.said["test_http[unclosed]"]["top_line"] == checked.line_of("# the open client")
