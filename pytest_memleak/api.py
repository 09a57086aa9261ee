"""The run as a test body sees it, and checks without pytest."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_memleak.drive.iterate import Clock, Drive
from pytest_memleak.run import LeakRun
from pytest_memleak.settings import make_settings
from pytest_memleak.simtime import SimulatedLoop
from pytest_memleak.verdict import Verdict

if TYPE_CHECKING:
    import httpx

    from pytest_memleak.drive.app import AppUnderTest
    from pytest_memleak.drive.traffic import Request
    from pytest_memleak.drive.websocket import WebSocket

_Result = TypeVar("_Result")


class Memleak:
    """The run of one test: its iteration, clock, client, app and traffic.

    Args:
        drive: what it drives.
    """

    def __init__(self, drive: Drive) -> None:
        self._drive = drive

    @property
    def clock(self) -> Clock:
        """The clock of the run: `now` in simulated seconds, and `await advance(seconds)`.

        In a plain test function, where nothing can be awaited, call `advance_sync(seconds)`.
        """
        return self._drive.clock

    @property
    def iteration(self) -> int:
        """Iterations completed before this one; it counts on and never restarts."""
        return self._drive.iteration

    @property
    def app(self) -> AppUnderTest:
        """The ASGI app of the fixture `memleak_app`, with its attributes; what reaches it is counted."""
        return self._drive.app

    @property
    def client(self) -> httpx.AsyncClient:
        """The same client as the fixture `memleak_client`."""
        return self._drive.client

    def send(
        self,
        mix: Sequence[Sequence[Any] | Request],
        *,
        count: int = 10,
        concurrency: int = 1,
        new_clients: bool = False,
    ) -> Coroutine[Any, Any, list[httpx.Response]]:
        """Send a mix of requests to the app.

        Args:
            mix: ``(method, path)``, ``(method, path, weight)``, ``(method, path, weight, json)`` or a
                `pytest_memleak.Request` each; ``{n}`` in any of their texts is another number in every request.
            count: how many requests.
            concurrency: how many at the same time.
            new_clients: each request comes from a client of its own; else one client keeps its cookies.

        Returns:
            the responses in the order of sending; unhandled exceptions of the app are 500 responses.

        Raises:
            DriveError: for a mix, count or concurrency that cannot be sent, or when there is no app.
        """
        _ = self._drive.app  # already now: a test that forgets to await has sent nothing, which is an error
        return self._drive.send(mix, count=count, concurrency=concurrency, new_clients=new_clients)

    def websocket(
        self, path: str, *, headers: Mapping[str, str] | None = None, subprotocols: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[WebSocket]:
        """Open a websocket to the app: ``async with memleak.websocket("/ws") as websocket``.

        Args:
            path: path and query.
            headers: further headers.
            subprotocols: those that the client speaks.

        Returns:
            a context manager; it gives a client with `send`, `receive`, `send_json`, `receive_json`, `close`
            and `vanish`, and closes the connection at its end.
        """
        from pytest_memleak.drive.websocket import connect

        return connect(self._drive.app, path, headers=headers, subprotocols=subprotocols)

    def watch(self, instance: object, *, is_open: Callable[[Any], bool] | None = None, name: str | None = None) -> None:
        """Track one object like a client: it must be closed before the end of the app's shutdown.

        Args:
            instance: the object; only a weak reference is kept.
            is_open: says whether it is open; by default its `is_closed` or `closed` does.
            name: how reports call it; by default its class.
        """
        self._drive.watch(instance, is_open=is_open, name=name)


def check(step: Callable[..., object], /, app: object = None, **settings: object) -> Verdict:
    """Check `step` for memory growth, without pytest and outside of any event loop.

    Args:
        step: one iteration, plain or async; it may take one argument, the `Memleak` run.
        app: an ASGI app, a factory or an import string.
        **settings: the arguments of the marker.

    Returns:
        the verdict; a leak raises nothing, see `Verdict.raise_for_leak`.

    Raises:
        SettingsError: for a setting that cannot be used.
        Exception: whatever `step` raises.
    """
    run = acheck(step, app, **settings)
    if not inspect.iscoroutinefunction(step) and app is None:
        return run_without_loop(run)
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(run)


async def acheck(step: Callable[..., object], /, app: object = None, **settings: object) -> Verdict:
    """The same as `check`, on the running event loop.

    For simulated time that must be a `pytest_memleak.simtime.SimulatedLoop`; on another loop pass
    ``simulate_time=False``.
    """
    drive = Drive(app)
    arguments = (Memleak(drive),) if inspect.signature(step).parameters else ()
    if app is not None:
        _ = drive.app  # a wrong app is said before the first iteration

    async def body() -> None:
        result = step(*arguments)
        if inspect.isawaitable(result):
            await result

    return await LeakRun(make_settings(settings), drive).check(body)


def run_without_loop(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine that never waits, as those of a plain function's check do."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: _Result = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a check without an event loop waited for something")
