"""The simulated CyTube's port: python-socketio on uvicorn, and the question where a room is.

It brings connections to a `Site` and events to sockets; what they mean is the site's. What a client may send, and
when, is `line`'s.

Needs the extra `rosey-bot[sandbox]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import engineio
import socketio
import uvicorn
from socketio.exceptions import ConnectionRefusedError as SocketioRefusal

from rosey_core.testing.line import Line, Receive, Scope, Send
from rosey_core.testing.payloads import NOT_ACKED
from rosey_core.testing.site import VALID_ROOM, Refused, Site

Hear = Callable[[Line, str, tuple[Any, ...]], Any]

LONGEST_FRAME = 1 << 20
"""Bytes of a client's frame; a longer one closes the transport with 1009."""


class Network:
    """The port, from `start` to `stop`; both may be called again, and the port stays the same.

    Args:
        hear: told of each event with its line; what it returns is the acknowledgement, or `NOT_ACKED`.
        changed: called when something was sent, or somebody came or went.
        report: told what went wrong in the simulation itself.
        ping: seconds between two pings, and until one without an answer ends a connection; whole seconds.
    """

    def __init__(
        self,
        site: Site,
        *,
        hear: Hear,
        changed: Callable[[], None],
        report: Callable[[Exception], None],
        port: int = 0,
        ping: tuple[int, int] = (25, 120),
    ) -> None:
        self.site = site
        self.port = port
        self.changed = changed
        self._hear = hear
        self._report = report
        self._ping = ping
        self._lines: dict[str, Line] = {}
        self._sio: _Socketio | None = None
        self._app: Any = None
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The site's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_up(self) -> bool:
        """Whether somebody listens at the port."""
        return self._server is not None

    async def start(self) -> None:
        """Listen. Raises `OSError` if the port is taken."""
        if self._server is not None:
            return
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        interval, patience = self._ping
        self._sio = _Socketio(
            async_mode="asgi",
            async_handlers=False,
            cors_allowed_origins="*",
            transports=["websocket"],
            ping_interval=interval,
            ping_timeout=patience,
            max_http_buffer_size=LONGEST_FRAME,
        )
        self._sio.on("connect", self._connect)
        self._sio.on("disconnect", self._disconnect)
        self._sio.on("*", self._event)
        self._app = socketio.ASGIApp(self._sio)
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http="h11",
            ws="websockets-sansio",
            ws_max_size=LONGEST_FRAME,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        self._server = _Uvicorn(config)
        self._serving = asyncio.create_task(self._server.serve([listener]), name="simulated CyTube")
        await self._server.listening.wait()

    async def stop(self) -> None:
        """Go away as CyTube does: without a goodbye, and from then on connections are refused."""
        server, sio, serving = self._server, self._sio, self._serving
        if server is None or sio is None or serving is None:
            return
        self._server = None
        for listener in server.servers:
            listener.close()
        server.cut(None)
        server.exit.set()
        await serving
        await sio.eio.cancel_tasks()

    def cut(self, line: Line | None) -> None:
        """Break a connection off, or all of them: no goodbye of any kind."""
        if self._server is not None:
            self._server.cut(None if line is None else line.client)

    def greet(self, line: Line) -> None:
        """The client was told that its session stands."""
        if line.user is not None:
            self._guarded(self.site.greet, line.user)
        self.changed()

    def end_session(self, sid: str) -> None:
        """Send `41`."""
        if self._sio is not None:
            self._sio.start_background_task(self._sio.disconnect, sid)

    # --- python-socketio's handlers ------------------------------------------------------------------------

    async def _connect(self, sid: str, environ: dict[str, Any], _auth: object = None) -> None:
        line: Line = environ["asgi.scope"]["rosey"]
        assert self._sio is not None
        try:
            user = self.site.connect(line, line.ip)
        except Refused as refusal:
            raise SocketioRefusal(str(refusal)) from None
        finally:
            self.changed()
        eio_sid = self._sio.manager.eio_sid_from_sid(sid, "/")
        line.take_seat(sid, user, self._sio.eio.sockets[eio_sid].queue)
        self._lines[sid] = line

    async def _disconnect(self, sid: str, _reason: object = None) -> None:
        line = self._lines.pop(sid, None)
        if line is not None and line.user is not None:
            line.ready = False
            self._guarded(self.site.gone, line.user)
        self.changed()

    async def _event(self, name: str, sid: str, *args: Any) -> Any:
        assert self._sio is not None
        line = self._lines.get(sid)
        reply = NOT_ACKED if line is None else self._guarded(self._hear, line, name, args)
        self.changed()
        return self._sio.not_handled if reply is NOT_ACKED else reply

    def _guarded(self, call: Callable[..., Any], *args: Any) -> Any:
        """Call the site. A fault there is the simulation's, not the client's: it is reported."""
        try:
            return call(*args)
        except Exception as error:
            self._report(error)
            return NOT_ACKED

    # --- HTTP -----------------------------------------------------------------------------------------------

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            if scope["path"].startswith("/socket.io/"):
                await Line(self, scope, receive, send).run(self._app, scope)
            else:
                await send({"type": "websocket.close"})
            return
        status, answer = self._find_socket(scope["path"])
        body = json.dumps(answer, separators=(",", ":")).encode()
        headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _find_socket(self, path: str) -> tuple[int, Any]:
        """Where the socket of a room is: here, whether the room is there or not."""
        match = re.fullmatch(r"/socketconfig/(.*)\.json", path, re.DOTALL)
        if match is None:
            return 404, {"error": "Not found"}
        if not VALID_ROOM.fullmatch(match[1]):
            return 404, {"error": f'Channel "{match[1]}" does not exist.'}
        return 200, {"servers": [{"url": self.url, "secure": False}]}


class _Engine(engineio.AsyncServer):  # type: ignore[misc]  # python-engineio has no types
    """Engine.IO that can end the tasks which it starts: pings of connections that are gone wait for 25 s."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running: set[asyncio.Task[Any]] = set()

    def start_background_task(
        self, target: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.create_task(target(*args, **kwargs))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def cancel_tasks(self) -> None:
        tasks = tuple(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Socketio(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio has no types
    """Socket.IO on our Engine.IO."""

    def _engineio_server_class(self) -> type[_Engine]:
        return _Engine


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves signals alone, and stops at once instead of at the next tick."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.exit = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        self.listening.set()
        await self.exit.wait()

    def cut(self, client: tuple[str, int] | None) -> None:
        """Abort the connections of a client, or all."""
        for connection in tuple(self.server_state.connections):
            if client is None or getattr(connection, "client", None) == client:
                connection.transport.abort()
