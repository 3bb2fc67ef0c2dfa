"""A server that says exactly what a script says, frame by frame: what a well-behaved library can't be made to say.

Owns the greeting, the frames and the faults: `44`, a `41` on an open transport, junk, half a frame, silence,
frames of any size and number, and the answer to the socketconfig question on the same port. It knows no rooms and
no users: the simulated CyTube does.

    async def script(line: Line) -> None:
        await line.greet()
        await line.admit()
        await line.event("kick", {"reason": ""})
        await line.say("41")

    async with Player(script) as player:
        ...  # connect to player.url

A script that is over leaves its connection open and silent, until the client goes or the player ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Script = Callable[["Line"], Awaitable[None]]

WAIT = 10.0
"""Seconds that a script waits for what the client should say."""

_quiet = logging.getLogger("rosey_core.testing.player")
_quiet.setLevel(logging.CRITICAL)


class Line:
    """One connection, as its script sees it.

    Attributes:
        number: which connection it is, from 0.
        heard: every frame that the client sent, oldest first.
        websocket: the connection itself, for faults that have no method here.
    """

    def __init__(self, number: int, websocket: ServerConnection) -> None:
        self.number = number
        self.websocket = websocket
        self.heard: list[str] = []
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    async def say(self, *frames: str) -> None:
        """Send text frames, each as it stands."""
        for frame in frames:
            await self.websocket.send(frame)

    async def event(self, name: str, *args: object) -> None:
        """Send an event."""
        await self.say(event(name, *args))

    async def write(self, data: bytes) -> None:
        """Send bytes below the websocket's frames, such as half of one."""
        self.websocket.transport.write(data)

    async def hear(self, start: str = "") -> str:
        """The next frame of the client that begins with `start`; others are passed over."""
        async with asyncio.timeout(WAIT):
            while True:
                frame = await self._queue.get()
                if frame.startswith(start):
                    return frame

    async def greet(self, *, interval: float = 25.0, patience: float = 120.0) -> None:
        """Open the transport and connect the session, as an anonymous visitor. Times are in seconds."""
        opening = {
            "sid": "player",
            "upgrades": [],
            "pingInterval": round(interval * 1000),
            "pingTimeout": round(patience * 1000),
            "maxPayload": 1 << 20,
        }
        await self.say("0" + json.dumps(opening))
        await self.hear("40")
        await self.say('40{"sid":"player"}', event("rank", -1))

    async def login(self, answer: object = None) -> dict[str, Any]:
        """Hear the login and take it, or give another answer. Returns what the client sent."""
        _, sent = json.loads((await self.hear('42["login"'))[2:])
        if answer is not None:
            await self.event("login", answer)
        elif "pw" in sent:
            await self.say(event("rank", 1), event("login", {"success": True, "name": sent["name"]}))
        else:
            success = {"success": True, "name": sent["name"], "guest": True}
            await self.say(event("rank", 0), event("login", success))
        return dict(sent)

    async def admit(self, *before: str, rank: float | None = None) -> dict[str, Any]:
        """Hear the join, and let the client in: an empty room, in CyTube's order. Returns what the client sent.

        Args:
            before: frames to send as history.
            rank: the client's rank in this room.
        """
        _, sent = json.loads((await self.hear('42["joinChannel"'))[2:])
        if rank is not None:
            await self.event("rank", rank)
        await self.say(
            event("setPermissions", {"chat": 0}),
            event("setPlaylistLocked", True),  # noqa: FBT003  it is the payload
            event("emoteList", []),
            *before,
            event("drinkCount", 0),
            event("setMotd", ""),
            event("playlist", []),
            event("userlist", []),
            event("usercount", 1),
        )
        return dict(sent)

    async def drop(self) -> None:
        """Break the connection off: no goodbye of any kind."""
        self.websocket.transport.abort()

    async def close(self, code: int = 1000) -> None:
        """Close the websocket properly."""
        await self.websocket.close(code)

    def freeze(self) -> None:
        """From now on read nothing, not even the client's goodbye: a half-open connection."""
        self.websocket.transport.pause_reading()

    def _take(self, frame: str) -> None:
        self.heard.append(frame)
        self._queue.put_nowait(frame)


class Player:
    """The server. The first connection plays the first script, and so on; the last script is for all others.

    Args:
        scripts: what to play.
        answer: the body for the socketconfig question; by default it names this server.
        status: its HTTP status.
        ssl: a server's TLS context.

    Attributes:
        url: the site's address.
        lines: the connections so far.
        asked: the paths that HTTP asked for, without the websockets'.
    """

    def __init__(
        self,
        *scripts: Script,
        answer: object = None,
        status: int = 200,
        ssl: Any = None,
    ) -> None:
        self.answer = answer
        self.status = status
        self.headers: dict[str, str] = {}
        self.url = ""
        self.lines: list[Line] = []
        self.asked: list[str] = []
        self._scripts = scripts
        self._ssl = ssl
        self._errors: list[Exception] = []
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            ssl=self._ssl,
            process_request=self._respond,
            compression=None,
            ping_interval=None,
            close_timeout=0.2,
            max_size=None,
            logger=_quiet,
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"{'https' if self._ssl else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        if self._errors:
            raise AssertionError(f"a script failed: {self._errors[0]!r}") from self._errors[0]

    async def _respond(self, _: ServerConnection, request: Request) -> Response | None:
        if request.path.startswith("/socket.io/"):
            return None
        self.asked.append(request.path)
        default = {"servers": [{"url": self.url, "secure": self._ssl is not None}]}
        answer = default if self.answer is None else self.answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        headers = Headers({"Content-Length": str(len(body)), "Connection": "close", **self.headers})
        return Response(self.status, http.HTTPStatus(self.status).phrase, headers, body)

    async def _serve(self, websocket: ServerConnection) -> None:
        line = Line(len(self.lines), websocket)
        self.lines.append(line)
        script = self._scripts[min(line.number, len(self._scripts) - 1)]
        tasks = [asyncio.create_task(self._play(script, line)), asyncio.create_task(_listen(line))]
        try:
            # The end of the script is not the end of the line; the end of listening is.
            await tasks[1]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _play(self, script: Script, line: Line) -> None:
        try:
            await script(line)
        except ConnectionClosed:
            pass
        except Exception as error:
            self._errors.append(error)


async def _listen(line: Line) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for frame in line.websocket:
            line._take(frame if isinstance(frame, str) else repr(frame))  # noqa: SLF001  the two are one thing


def event(name: str, *args: object) -> str:
    """The frame of an event."""
    return "42" + json.dumps([name, *args], separators=(",", ":"))


def frames(trace: Path) -> Iterable[tuple[str, str]]:
    """The direction (`in` is the server's, `out` the client's) and text of each frame of a recorded trace."""
    for text in trace.read_text(encoding="utf-8").splitlines():
        record = json.loads(text)
        if record["dir"] != "meta":
            yield record["dir"], record["frame"]


def recorded(trace: Path) -> Script:
    """A script that says what the server said in a trace, each time after the client sent as many frames.

    Frames of the client are counted, not compared: a login's password is not in the trace.
    """

    async def script(line: Line) -> None:
        for direction, frame in frames(trace):
            if direction == "in":
                await line.say(frame)
            else:
                await line.hear()

    return script
