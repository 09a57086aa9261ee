"""The app under test: found, started, counted at its ASGI boundary, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import weakref
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pytest_memleak.drive.recorded import Message, RecordedRequest
from pytest_memleak.reasons import in_one_line

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_MOST_ROUTES = 200
_OTHER_ROUTES = "(other paths)"
_LONGEST_ERROR = 300
_started: weakref.WeakSet[Any] = weakref.WeakSet()
"""Apps that were started in this process."""


class DriveError(Exception):
    """The app cannot be found, started, stopped or sent to; the message is one sentence with the remedy."""


class ClientLeft(OSError):
    """What sending to a client that has hung up raises in the app at last."""


def comes_of_leaving(error: BaseException | None) -> bool:
    """Whether an exception of the app only says that its client has left, which is no failure of the app."""
    while error is not None:
        if isinstance(error, ClientLeft) or type(error).__name__ in ("ClientDisconnect", "WebSocketDisconnect"):
            return True
        error = error.__cause__ or error.__context__
    return False


def resolve_app(source: object) -> ASGIApp:
    """The ASGI app behind an object, a factory or an import string.

    Args:
        source: an ASGI app; a callable without arguments that returns one; or
            ``"package.module:app"`` or ``"package.module:create_app()"``.

    Raises:
        DriveError: when the string does not resolve or the result is not an ASGI app.
    """
    named = repr(source) if isinstance(source, str) else f"a {type(source).__name__}"
    if isinstance(source, str):
        source = _import(source)
    if not _takes(source, 3) and callable(source) and _takes(source, 0):
        made = source()
        if inspect.iscoroutine(made):
            made.close()
            raise DriveError(f"the app factory {named} is a coroutine function; memleak_app needs a plain function")
        named, source = f"{named}() returned a {type(made).__name__}, which", made
    if not callable(source) or not _takes(source, 3):
        raise DriveError(
            f"{named} is not an ASGI app (a callable taking scope, receive and send): return the app, a factory "
            "or an import string such as 'myapp.main:app' from the fixture memleak_app"
        )
    return source


def _takes(candidate: object, count: int) -> bool:
    """Whether `candidate` can be called with `count` positional arguments."""
    if not callable(candidate):
        return False
    try:
        inspect.signature(candidate).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def _import(text: str) -> object:
    module_name, colon, attributes = text.partition(":")
    call = attributes.endswith("()")
    attributes = attributes.removesuffix("()")
    if not (module_name and colon and attributes):
        raise DriveError(f"{text!r} is not an import string; write it as 'package.module:app'")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and something it imports is not: the traceback tells more
        raise DriveError(
            f"the app {text!r} cannot be imported: there is no module {error.name!r} in the root directory or in "
            "pytest's pythonpath"
        ) from None
    except SystemExit as error:
        raise DriveError(
            f"the app {text!r} cannot be imported: importing {module_name!r} exits with {str(error.code)!r}; set in "
            "the environment, or in a conftest.py, what it needs"
        ) from None
    for name in attributes.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise DriveError(f"the app {text!r} cannot be imported: {module_name} has no {attributes!r}") from None
    return found() if call else found


class AppUnderTest:
    """An ASGI app with its lifespan, and counts of what reached it.

    It is an ASGI app itself, with the attributes of the one inside, so that a test may hand it to a client
    of its own and is counted all the same.

    Args:
        app: the ASGI app.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.counting = False
        self.requests = 0
        self.failed_requests = 0
        self.refused_requests = 0
        self.last_error: str | None = None
        self.routes: dict[str, int] = {}
        self.recorded: dict[str, RecordedRequest] | None = None
        self._lifespan: _Lifespan | None = None
        self._runs_lifespan = True
        self.has_shutdown = True
        self.restarted = False
        self._starting: asyncio.Lock | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)

    @property
    def hint(self) -> str:
        """What else an app that fails may need, when it is not its first start in this process."""
        if not self.restarted:
            return ""
        return "; it ran before in this process: if it can be started only once, add --memcheck-isolate"

    @property
    def started(self) -> bool:
        """Whether the lifespan's startup is over."""
        return self._lifespan is not None

    async def start(self) -> None:
        """Run the lifespan's startup on the running loop; a second call returns at once.

        Nothing is done where the test runs the lifespan itself, as asgi-lifespan's LifespanManager does.

        Raises:
            DriveError: when the app reports that its startup failed.
        """
        if self._lifespan is not None or not self._runs_lifespan:
            return
        self._starting = self._starting or asyncio.Lock()
        async with self._starting:
            if self._lifespan is None:
                with contextlib.suppress(TypeError):  # no weak reference to it, or no hash
                    self.restarted = self.app in _started
                    _started.add(self.app)
                lifespan = _Lifespan(self.app, self.hint)
                await lifespan.start()
                self._lifespan = lifespan
                self.has_shutdown = lifespan.is_spoken

    async def stop(self) -> None:
        """Run the lifespan's shutdown, if it was started.

        Raises:
            DriveError: when the app reports that its shutdown failed.
        """
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await lifespan.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The boundary: every request passes here, is counted, and finds the lifespan started, and its state."""
        if scope["type"] == "lifespan":
            self._runs_lifespan = False
            await self.app(scope, receive, send)
            return
        if self._lifespan is None:
            await self.start()  # a client of the test's own, say for websockets, may come first
        if self._lifespan is not None and self._lifespan.state:
            scope["state"] = dict(self._lifespan.state)
        if not self.counting:
            await self.app(scope, receive, send)
            return
        self.requests += 1
        status = 0
        recorder = None
        if self.recorded is not None and scope["type"] == "http":
            recorder = RecordedRequest(self, scope, receive)
            receive = recorder.receive

        def watched_send(message: Message) -> Awaitable[None]:  # no coroutine of its own for each message
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        try:
            await self.app(scope, receive, watched_send)
        except Exception as error:
            if not comes_of_leaving(error):
                status = 500
                self.last_error = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_ERROR]
            raise
        finally:
            self.failed_requests += status >= 500
            self.refused_requests += 400 <= status < 500
            route = self._count_route(scope)
            if recorder is not None and self.recorded is not None:
                self.recorded[route] = recorder

    def _count_route(self, scope: Scope) -> str:
        route = f"{scope.get('method', 'WEBSOCKET')} {_route_path(scope)}"
        # Unique URLs without a route must not make the harness grow.
        if route not in self.routes and len(self.routes) >= _MOST_ROUTES:
            route = _OTHER_ROUTES
        self.routes[route] = self.routes.get(route, 0) + 1
        return route


def _route_path(scope: Scope) -> str:
    """The route's template where the framework leaves it in the scope, else the path."""
    path, template = str(scope.get("path", "")), getattr(scope.get("route"), "path", None)
    if not isinstance(template, str):
        return path
    # The template of a mounted app starts where it is mounted; two mounts may have the same.
    mounted_at = scope.get("root_path", "")
    return mounted_at + template if path.startswith(f"{mounted_at}/") else template


class _Lifespan:
    """One run of the lifespan protocol, in a task of its own: startup, a long wait, shutdown."""

    def __init__(self, app: ASGIApp, hint: str) -> None:
        self._app = app
        self._hint = hint
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self.is_spoken = False  # whether the app has answered
        self._failure: str | None = None
        self._error: BaseException | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        self._inbox.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run(), name="memleak lifespan")
        # What `_run` lets through, like Ctrl-C, goes through the loop as well: it is no news when the task is gone.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        await self._started.wait()
        if self._failure is not None:
            await self._end()
            raise DriveError(f"the app's startup failed: {self._reason()}") from self._error

    async def stop(self) -> None:
        if not self._task.done():
            self._inbox.put_nowait({"type": "lifespan.shutdown"})
            await self._stopped.wait()
            await self._end()
        if self._failure is not None:
            raise DriveError(f"the app's shutdown failed: {self._reason()}") from self._error

    async def _end(self) -> None:
        """After its last word the app has nothing to do; one that goes on waiting for messages is ended."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _reason(self) -> str:
        lines = [line.strip() for line in (self._failure or "").splitlines() if line.strip()]
        return (lines[-1] if lines else "the app gave no reason") + self._hint

    async def _run(self) -> None:
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._inbox.get, self._send)
        except BaseException as error:
            self._error = error
            is_end = self._stopped.is_set() and isinstance(error, asyncio.CancelledError)  # of `_end`
            # Before startup is complete, raising is how an app says that it has no lifespan support.
            is_no_support = isinstance(error, Exception) and not self._started.is_set()
            is_news = not (is_end or is_no_support or isinstance(error, KeyboardInterrupt))
            if is_news and self._failure is None:
                self._failure = in_one_line(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._started.set()
            self._stopped.set()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        self.is_spoken = True
        if kind.endswith(".failed"):
            self._failure = message.get("message") or "the app gave no reason"
        (self._started if kind.startswith("lifespan.startup") else self._stopped).set()
