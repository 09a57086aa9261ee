"""A client that stays open, on purpose and not."""

import pytest
from search import SearchClient

clients: list[SearchClient] = []


@pytest.mark.memleak(duration="1h")
@pytest.mark.xfail(strict=True, reason="a client in each iteration, none is closed")
def test_left_open():
    clients.append(SearchClient())


@pytest.mark.memleak(duration="1h", allow_unclosed=["search.SearchClient"])
def test_allowed_by_class():
    clients.append(SearchClient())


@pytest.mark.memleak(duration="1h", allow_unclosed=["test_allow.py:*"])
def test_allowed_by_place():
    clients.append(SearchClient())


@pytest.mark.memleak(duration="1h")
@pytest.mark.xfail(strict=True, reason="watched, and none is closed")
def test_watched(memleak):
    listener = Listener()
    memleak.watch(listener, is_open=lambda listener: listener.listening, name="Listener")
    listeners.append(listener)


class Listener:
    listening = True


listeners: list[Listener] = []
