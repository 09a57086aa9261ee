"""What a test body drives: the app, its client and its traffic, iteration by iteration."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from pytest_memleak import origin
from pytest_memleak.drive.app import AppUnderTest, DriveError, resolve_app
from pytest_memleak.drive.recorded import Replay, replays_of
from pytest_memleak.drive.traffic import WEBSOCKET, Request, Rotation, parse_mix, send, send_one

if TYPE_CHECKING:
    import httpx

_NO_APP = (
    "there is no app to test: override the fixture memleak_app (return the ASGI app, a factory or an import string "
    "such as 'myapp.main:app'), or set memleak_app in the pytest configuration"
)


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class NotMeasured(Exception):
    """The traffic only met errors, so that there is nothing to judge; the message says which, and the remedy."""


class Clock(Protocol):
    """What a test body can do with the clock of its run."""

    @property
    def now(self) -> float:
        """Simulated seconds since the run began."""

    async def advance(self, seconds: float) -> None:
        """Let simulated seconds pass."""


class RealClock:
    """The clock of a run without simulated time: nothing to advance."""

    now = 0.0

    async def advance(self, seconds: float) -> None:
        """Return at once: real time passes by itself."""

    def advance_sync(self, seconds: float) -> None:
        """Return at once, as `advance` does."""


class Drive:
    """The app of one test, and how requests reach it.

    Args:
        app_source: what the fixture `memleak_app` returned; None when nobody set it.
        owns_loop: whether the loop ends with the run, as a server's does after the shutdown.
    """

    def __init__(self, app_source: object = None, *, owns_loop: bool = False) -> None:
        self.app_source = app_source
        self._owns_loop = owns_loop
        self._app: AppUnderTest | None = None
        self._client: httpx.AsyncClient | None = None
        self._senders: dict[bool, httpx.AsyncClient] = {}
        self._sent = 0
        self._rotations: dict[tuple[int, ...], Rotation] = {}
        self._counting = False
        self.iteration = 0
        self.clock: Clock = RealClock()
        self.watch: Callable[..., None] = _not_watching

    @property
    def app(self) -> AppUnderTest:
        """The app, resolved at the first use.

        Raises:
            DriveError: when there is none, or it cannot be imported.
        """
        if self._app is None:
            if self.app_source is None:
                raise DriveError(_NO_APP)
            self._app = AppUnderTest(resolve_app(self.app_source))
            modules = _modules_of(self.app_source, self._app.app)
            origin.take_for_app(filter(None, map(origin.place_of_module, modules)))
            self._app.counting = self._counting
        return self._app

    @property
    def uses_app(self) -> bool:
        """Whether the test has asked for its app."""
        return self._app is not None

    @property
    def has_shutdown(self) -> bool:
        """Whether there is an end at which clients are to be closed; an app without a lifespan is never told of one."""
        return self._app is None or self._app.has_shutdown

    @property
    def requests(self) -> int:
        """Requests counted so far."""
        return self._app.requests if self._app else 0

    @property
    def client(self) -> httpx.AsyncClient:
        """The client of the test; the app's exceptions raise into it."""
        if self._client is None:
            from pytest_memleak.drive.client import make_client

            self._client = make_client(self.app)
        return self._client

    @property
    def clients(self) -> tuple[object, ...]:
        """The clients that this drive made; they are none of the app's."""
        return (*((self._client,) if self._client else ()), *self._senders.values())

    async def record_routes(self, step: Callable[[], Awaitable[object]]) -> dict[str, Replay]:
        """Run two iterations and return, for each route of the second, what sends its last request again.

        The two tell which numbers in a request count: what grows with every new URL grows in the replay too.
        """
        recordings = []
        try:
            for _ in range(2):
                self.app.recorded = {}
                await step()
                recordings.append(self.app.recorded)
        finally:
            self.app.recorded = None
        return replays_of(*recordings)

    async def send(
        self, mix: Sequence[Any], *, count: int, concurrency: int = 1, new_clients: bool = False
    ) -> list[httpx.Response]:
        """Send a mix of requests; the app's unhandled exceptions become 500 responses.

        Raises:
            DriveError: when `count` or `concurrency` is below 1, or the mix cannot be sent.
        """
        for name, value in (("count", count), ("concurrency", concurrency)):
            if value < 1 or value != int(value):
                raise DriveError(f"{name}={value!r} must be a whole number of 1 or more")
        requests = parse_mix(mix)
        sender = self._sender(keeps_cookies=not new_clients)
        weights = tuple(request.weight for request in requests)
        # The position is kept over the iterations, so that the proportions are exact. It is kept by the
        # weights and not by the requests: those may differ every time, and the harness must not grow.
        rotation = self._rotations.setdefault(weights, Rotation(weights))

        async def one(request: Request) -> httpx.Response:
            self._sent += 1
            if request.method == WEBSOCKET:
                from pytest_memleak.drive.websocket import exchange

                return await exchange(self.app, request, self._sent)
            return await send_one(sender, request, self._sent)

        chosen = [requests[next(rotation)] for _ in range(count)]
        return await send(chosen, one, concurrency=concurrency)

    def _sender(self, *, keeps_cookies: bool) -> httpx.AsyncClient:
        if keeps_cookies not in self._senders:
            from pytest_memleak.drive.client import make_client

            self._senders[keeps_cookies] = make_client(
                self.app, raise_app_exceptions=False, keeps_cookies=keeps_cookies
            )
        return self._senders[keeps_cookies]

    async def start(self) -> None:
        """Start the app's lifespan, when the test uses an app, and count requests from now on."""
        if self._app is not None:
            await self._app.start()
        self._count(True)

    async def stop(self) -> None:
        """Stop the lifespan and close the clients; a second call does nothing."""
        self._count(False)
        self.watch = _not_watching
        clients, self._client, self._senders = (self._client, *self._senders.values()), None, {}
        try:
            if self._app is not None:
                await self._app.stop()
            if self._owns_loop:  # an app may close with its loop what it opened
                await _end_generators()
        finally:
            for client in clients:
                if client is not None:
                    await client.aclose()

    def _count(self, counting: bool) -> None:
        self._counting = counting
        if self._app is not None:
            self._app.counting = counting


def _modules_of(source: object, app: object) -> Iterator[str]:
    """The modules that the app under test comes from: the one in its import string, else those that bind it."""
    if isinstance(source, str):
        yield source.partition(":")[0]
        return
    for name, module in list(sys.modules.items()):
        if issubclass(type(module), ModuleType):
            bound = ModuleType.__getattribute__(module, "__dict__")
            if any(value is source or value is app for value in list(bound.values())):
                yield name


async def _end_generators() -> None:
    """End the app's async generators, as a server does when its loop ends; those of the check itself go on."""
    for generator in list(getattr(asyncio.get_running_loop(), "_asyncgens", ())):
        if not generator.ag_code.co_filename.startswith(_PACKAGE):
            with contextlib.suppress(Exception):
                await generator.aclose()


def _not_watching(*arguments: object, **named: object) -> None:
    """Outside of a check there is nothing to watch for."""
