"""A viewer: one scripted client of a CyTube room, for tests and the sandbox.

    async with Viewer(cytube.url, "movienight", "alice") as alice:
        await alice.say("!echo hello")
        line = await alice.expect("chatMsg", lambda line: line["username"] == "Rosey")

It speaks by rosey's own `wire`, and keeps everything it hears. It does not come back by itself and keeps to no
limits: that is what the bot's `session` and `sender` are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from rosey_core.cytube import finding
from rosey_core.cytube.ending import Ended
from rosey_core.cytube.text import read
from rosey_core.cytube.wire import Ack, Closed, Disconnected, Refused, Wire
from rosey_core.cytube.wire import Event as WireEvent
from rosey_core.errors import ChannelError, CytubeError, Kicked, LoginError, SocketIOError

_WAIT = 10.0

Test = Callable[[Any], object]


class Received(NamedTuple):
    """An event from the server. `payload` is `None` where there is none."""

    name: str
    payload: Any


class Viewer:
    """One connection, one name, one room.

    Args:
        url: the site's address.
        room: the room; empty connects, and enters none.
        name: a guest's or an account's; empty stays anonymous.
        password: the account's; empty for guests.
        room_password: the room's.
        address: the address to play, for sites that trust us as a proxy; made out of the name if there is none, since
            CyTube counts votes by address.
        hear: is told of each event as it comes: name and payload.

    Attributes:
        name: as the site spells it, once logged in.
        rank: the last rank the site told.
        received: every event, oldest first.
        kicked: why the viewer was kicked (empty if no reason was given), or `None`.
        closed: the connection ended, whoever did it.
    """

    def __init__(
        self,
        url: str,
        room: str,
        name: str = "",
        password: str = "",
        *,
        room_password: str = "",
        address: str = "",
        hear: Callable[[str, Any], None] | None = None,
    ) -> None:
        self.name = name
        self.rank: float = -1
        self.received: list[Received] = []
        self.kicked: str | None = None
        self.closed = False
        self._url = url
        self._room = room
        self._password = password
        self._room_password = room_password
        self._address = address or _address_of(name)
        self._wire = Wire()
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._places: defaultdict[str, int] = defaultdict(int)
        self._acks: dict[int, Any] = {}
        self._refused: str | None = None
        self._news = asyncio.Event()
        self._hear = hear
        self._leaving = False

    async def __aenter__(self) -> Self:
        await self.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def enter(self) -> None:
        """Connect, log in, and enter the room; returns after the user list.

        Raises:
            LoginError: the name or password is refused.
            ChannelError: the room wants another password.
            Kicked: the room, or the site, throws the viewer out at once.
            SocketIOError: the site can't be reached, or refuses the connection.
        """
        try:
            await self._enter()
        except BaseException:
            await self.leave()
            raise

    async def _enter(self) -> None:
        try:
            address = await finding.find(self._url, self._room or "lobby", proxy=None, seconds=_WAIT)
            self._socket = await connect(
                address,
                compression=None,
                max_size=None,
                ping_interval=None,
                close_timeout=1,
                proxy=None,
                additional_headers={"X-Forwarded-For": self._address},
            )
        except (Ended, OSError, WebSocketException) as error:
            raise SocketIOError(f"the viewer {self.name or '(anonymous)'} can't connect: {error}") from None
        self._reading = asyncio.create_task(self._read(self._socket), name=f"viewer {self.name}")
        await self._until(lambda: self._wire.connected)
        if self.name:
            await self.emit("login", {"name": self.name} | ({"pw": self._password} if self._password else {}))
            answer = await self.expect("login")
            if not answer["success"]:
                raise LoginError(str(answer["error"]))
            self.name = answer["name"]
        if self._room:
            wish = {"name": self._room} | ({"pw": self._room_password} if self._room_password else {})
            await self.emit("joinChannel", wish)
            await self._until(lambda: self._count("userlist") or self._count("needPassword"))
            if not self._count("userlist"):
                raise ChannelError("the room wants another password")

    async def leave(self) -> None:
        """Say goodbye and close the connection."""
        if self._socket is not None:
            self._wire.leave()
            self._leaving = True
            await self._flush()
            await self._socket.close()
        if self._reading is not None:
            await self._reading
        self.closed = True

    # --- speaking -------------------------------------------------------------------------------------------

    async def say(self, text: str) -> None:
        """Say a line in the room."""
        await self.emit("chatMsg", {"msg": text, "meta": {}})

    async def pm(self, to: str, text: str) -> None:
        """Send a private message."""
        await self.emit("pm", {"to": to, "msg": text, "meta": {}})

    async def emit(self, name: str, *payload: Any) -> None:
        """Send any event, mostly with one payload or none. Raises `SocketIOError` if the session is over."""
        self._wire.emit(name, *payload)
        await self._flush()

    async def ask(self, name: str, *payload: Any) -> Any:
        """Send an event that is acknowledged (of CyTube's, `newPoll` alone), and return the acknowledgement."""
        number = self._wire.emit(name, *payload, ack=True)
        assert number is not None
        await self._flush()
        await self._until(lambda: number in self._acks)
        return self._acks.pop(number)

    # --- hearing --------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Who said what in the room, history included, as plain text."""
        return [(line["username"], read(line["msg"])[0]) for name, line in self.received if name == "chatMsg"]

    async def expect(self, name: str, predicate: Test | None = None, timeout: float = _WAIT) -> Any:  # noqa: ASYNC109  the usual word
        """The payload of the next event of a name that passes a test. Each event is found once, and in order.

        Raises:
            Kicked: the viewer was kicked, and such an event did not come before.
            SocketIOError: the connection ended before.
            TimeoutError: it did not come within `timeout` seconds; the text says what came in its place.
        """
        found: list[Any] = []

        def look() -> bool:
            for index in range(self._places[name], len(self.received)):
                event = self.received[index]
                if event.name == name:
                    self._places[name] = index + 1
                    if predicate is None or predicate(event.payload):
                        found.append(event.payload)
                        return True
            self._places[name] = len(self.received)
            return False

        before = len(self.received)
        try:
            await self._until(look, timeout)
        except TimeoutError:
            came = ", ".join(event.name for event in self.received[before:][-10:])
            raise TimeoutError(
                f"{self.name or 'the anonymous viewer'} did not hear {name} within {timeout:g} s; "
                f"meanwhile came: {came or 'nothing'}"
            ) from None
        return found[0]

    async def expect_line(self, test: Callable[[str, str], object], timeout: float = _WAIT) -> str:  # noqa: ASYNC109  as `expect`
        """The plain text of the next line in the room for which `test(name, text)` holds. Raises as `expect`."""
        line = await self.expect("chatMsg", lambda line: test(line["username"], read(line["msg"])[0]), timeout)
        return read(line["msg"])[0]

    async def wait_closed(self, timeout: float = _WAIT) -> None:  # noqa: ASYNC109  as `expect`
        """Wait for the end of the connection. Raises `TimeoutError`."""
        assert self._reading is not None
        await asyncio.wait_for(asyncio.shield(self._reading), timeout)

    # --- inside ---------------------------------------------------------------------------------------------

    def _count(self, name: str) -> int:
        return sum(event.name == name for event in self.received)

    async def _until(self, test: Callable[[], object], timeout: float = _WAIT) -> None:  # noqa: ASYNC109  as `expect`
        async with asyncio.timeout(timeout):
            while not test():
                if self.closed or self.kicked is not None:
                    raise self._why()
                self._news.clear()
                await self._news.wait()

    def _why(self) -> CytubeError:
        """Why nothing more will come."""
        if self.kicked is not None:
            return Kicked(self.kicked)
        return SocketIOError(self._refused or f"the connection of {self.name or 'the anonymous viewer'} ended")

    async def _flush(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(WebSocketException):
                for frame in self._wire.data_to_send():
                    await self._socket.send(frame)

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for frame in socket:
                # What was on its way when we said goodbye belongs to no session.
                if self._leaving or not self._take(frame):
                    break
                await self._flush()
        except WebSocketException:
            pass
        finally:
            self.closed = True
            self._news.set()
        await socket.close()

    def _take(self, frame: str | bytes) -> bool:
        """Take a frame in; false at the end of the session."""
        heard = self._wire.receive(frame)
        if isinstance(heard, WireEvent):
            self._note(heard.name, json.loads(heard.args) if heard.args else None)
        elif isinstance(heard, Ack):
            self._acks[heard.id] = json.loads(heard.args) if heard.args else None
        elif isinstance(heard, Refused):
            self._refused = heard.message
        self._news.set()
        return not isinstance(heard, (Refused, Disconnected, Closed))

    def _note(self, name: str, payload: Any) -> None:
        self.received.append(Received(name, payload))
        if name == "kick":
            self.kicked = payload.get("reason", "")
        elif name == "rank":
            self.rank = payload
        if self._hear is not None:
            self._hear(name, payload)


def _address_of(name: str) -> str:
    """An address for documentation (RFC 5737), the same for the same name."""
    return f"198.51.100.{1 + zlib.crc32(name.lower().encode()) % 254}" if name else "198.51.100.255"
