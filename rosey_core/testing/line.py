"""One websocket of the simulated CyTube: it stands between uvicorn and python-socketio, and drops what CyTube drops.

Like CyTube 3.86 it ends a transport (code 1005) on an event before the session stands or after its end, on bytes that
are no event, and when the session was not asked for within 45 s. Which lines there are is `network`'s.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from engineio.packet import MESSAGE
from engineio.packet import Packet as Frame

if TYPE_CHECKING:
    from rosey_core.testing.network import Network
    from rosey_core.testing.users import Event, User

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_PATIENCE = 45.0
_EVENT = re.compile(r"42(\d*)(\[.*)", re.DOTALL)
_RESERVED = frozenset({"connect", "connect_error", "disconnect", "disconnecting"})


class Line:
    """One websocket; as a `Link` it is the way to its user's program.

    Attributes:
        user: who is on it, once the session was asked for.
        ready: the session stands: the client may send events.
        acked: the event that is being answered wants an acknowledgement.
    """

    def __init__(self, network: Network, scope: Scope, receive: Receive, send: Send) -> None:
        self.client: tuple[str, int] = tuple(scope["client"])
        headers = dict(scope["headers"])
        # Everybody is on loopback here: a client says which address it plays, as a proxy would.
        self.ip = headers.get(b"x-forwarded-for", self.client[0].encode()).decode("latin-1")
        self.user: User | None = None
        self.sid = ""
        self.ready = False
        self.acked = False
        self._network = network
        self._receive = receive
        self._send = send
        self._queue: asyncio.Queue[Frame | None] | None = None
        self._due = asyncio.get_running_loop().time() + _PATIENCE

    def take_seat(self, sid: str, user: User, queue: asyncio.Queue[Frame | None]) -> None:
        """The session was asked for and is granted; it stands when the client was told so."""
        self.sid, self.user, self._queue = sid, user, queue

    # --- to the client --------------------------------------------------------------------------------------

    def send(self, event: Event) -> None:
        """Send an event."""
        if self._queue is not None:
            if event.packet is None:
                event.packet = Frame(MESSAGE, "2" + _json([event.name, *event.args]))
            self._queue.put_nowait(event.packet)
        self._network.changed()

    def end(self) -> None:
        """Say that the session is over; the transport stays open, as CyTube leaves it."""
        self.ready = False
        self._network.end_session(self.sid)

    def hang_up(self) -> None:
        """Close the websocket, after what was sent before."""
        self.ready = False
        if self._queue is not None:
            self._queue.put_nowait(None)

    # --- between uvicorn and python-socketio ----------------------------------------------------------------

    async def run(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope) -> None:
        """The whole life of the websocket."""
        await app({**scope, "rosey": self}, self._hear, self._say)

    async def _hear(self) -> Message:
        """A message from the client; what CyTube does not take is the end."""
        gone = {"type": "websocket.disconnect", "code": 1005}
        while True:
            try:
                async with asyncio.timeout_at(None if self.ready else self._due):
                    message = await self._receive()
                break
            except TimeoutError:
                if not self.ready:
                    return gone
        if message["type"] == "websocket.receive" and not self._fits(message.get("text")):
            return gone
        return message

    async def _say(self, message: Message) -> None:
        """A message to the client."""
        if message["type"] == "websocket.close":
            message = {"type": "websocket.close", "code": None}  # CyTube's closes have no code
        await self._send(message)
        if (message.get("text") or "").startswith("40"):
            self.ready = True
            self._network.greet(self)

    def _fits(self, frame: str | None) -> bool:
        """Whether a frame is one that the client may send now."""
        if not frame:
            return False
        if not frame.startswith("4"):
            return frame[0] in "1236"
        if frame.startswith("40"):
            return not self.ready and isinstance(_parsed(frame[2:] or "{}"), dict)
        match = _EVENT.fullmatch(frame)
        if match is None or not self.ready:
            return frame == "41"
        event = _parsed(match[2])
        # python-socketio does not tell its handlers; it answers one frame before it takes the next.
        self.acked = bool(match[1])
        return isinstance(event, list) and bool(event) and isinstance(event[0], str) and event[0] not in _RESERVED


def _parsed(text: str) -> Any:
    """JSON, or nothing."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json(value: Any) -> str:
    """JSON as Node writes it: no blanks, and only half characters are escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text
