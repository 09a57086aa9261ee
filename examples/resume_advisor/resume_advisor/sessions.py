"""HTTP sessions to other hosts: one for each, closed when too many or idle."""

from __future__ import annotations

import contextlib
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator

import aiohttp


class HTTPSessionManager:
    """Opens, shares and closes aiohttp sessions.

    Args:
        max_sessions: sessions kept open at most. Sessions in use are never closed, so that more can be open
            for as long as more are in use.
    """

    def __init__(self, max_sessions: int = 100) -> None:
        self.max_sessions = max_sessions
        self._sessions: OrderedDict[str, aiohttp.ClientSession] = OrderedDict()  # last used last
        self._users = Counter[str]()

    @contextlib.asynccontextmanager
    async def session(self, key: str) -> AsyncIterator[aiohttp.ClientSession]:
        """The session for `key`, which stays open for the length of the block."""
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = aiohttp.ClientSession()
        self._sessions.move_to_end(key)
        self._users[key] += 1
        try:
            await self._close_oldest(len(self._sessions) - self.max_sessions)
            yield session
        finally:
            self._users[key] -= 1
            self._users += Counter()  # drops the keys that count nothing

    async def close_idle(self) -> int:
        """Close every session that nobody uses; how many those were."""
        return await self._close_oldest(len(self._sessions))

    async def close_all(self) -> None:
        """Close every session."""
        while self._sessions:
            await self._sessions.popitem()[1].close()

    async def _close_oldest(self, count: int) -> int:
        idle = [key for key in self._sessions if not self._users[key]][: max(count, 0)]
        for key in idle:
            await self._sessions.pop(key).close()
        return len(idle)

    def __len__(self) -> int:
        return len(self._sessions)
