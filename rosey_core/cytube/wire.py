"""Engine.IO 4 and Socket.IO 5 as a client speaks them: frames in, what they mean out. No sockets, no clock.

Owns the packet types, the greeting, acknowledgements, pings and the arithmetic of silence. It does not know what
CyTube's events mean (`translate`), nor when to connect again (`session`).

What a server says, in order: `0{...}` opens the transport and is answered with `40`; `40{"sid"}` connects, or
`44{"message"}` refuses; then events are `42["name",...]`, answers to ours `43<id>[...]`, `2` a ping that wants
`3`, `41` the end of the session (CyTube leaves the transport open after it) and `1` the end of the transport.
An event sent before the `40{...}` reply makes CyTube 3.86 drop the transport, so `emit` refuses it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from rosey_core.errors import SocketIOError

DEFAULT_SILENCE = 145.0
"""CyTube's ping interval (25 s) and time-out (120 s) together."""

_MAX_DIGITS = 15


class Opened(msgspec.Struct, frozen=True, gc=False):
    """The transport is open. Times are in seconds."""

    sid: str
    ping_interval: float
    ping_timeout: float


class Connected(msgspec.Struct, frozen=True, gc=False):
    """The session stands: events may be sent from now on."""

    sid: str


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The server does not want this session. CyTube leaves the transport open: close it."""

    message: str


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something happened. `args` is undecoded, so that there is one typed decode later.

    Attributes:
        name: CyTube's name of the event.
        args: the JSON text (UTF-8) of what follows the name, without the list's brackets. All of CyTube's events
            have one argument, so this is that value; it is empty when there is none. It is not checked.
    """

    name: str
    args: bytes


class Ack(msgspec.Struct, frozen=True, gc=False):
    """The answer to an event of ours that asked for one; `args` as in `Event`."""

    id: int
    args: bytes


class Disconnected(msgspec.Struct, frozen=True, gc=False):
    """The server ended the session; CyTube leaves the transport open."""


class Closed(msgspec.Struct, frozen=True, gc=False):
    """The server ends the transport."""


Heard = Opened | Connected | Refused | Event | Ack | Disconnected | Closed

_Milliseconds = Annotated[float, msgspec.Meta(gt=0)]


class _Open(msgspec.Struct, rename="camel"):
    sid: str
    ping_interval: _Milliseconds
    ping_timeout: _Milliseconds
    max_payload: Annotated[int, msgspec.Meta(gt=0)] = 1 << 20


class _Connect(msgspec.Struct):
    sid: str = ""


class _Refusal(msgspec.Struct):
    message: str = ""


_open = msgspec.json.Decoder(_Open)
_connect = msgspec.json.Decoder(_Connect)
_refusal = msgspec.json.Decoder(_Refusal)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_name = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode
_BAD_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError)


class Wire:
    """One connection's protocol. Make a new one for each connection.

    Give it each text frame with `receive`, send what `data_to_send` gives, and tell it the time of the last frame
    with `heard`; after `silence` seconds without one the link is dead.

    Attributes:
        outgoing: frames to send, in order; `data_to_send` empties it.
        silence: seconds without any frame after which the link is dead.
        connected: whether events may be sent.
        max_payload: the longest frame in bytes that the server takes; CyTube drops the transport on a longer one.
    """

    __slots__ = ("_acks", "_last", "_open", "connected", "max_payload", "outgoing", "silence")

    def __init__(self, now: float = 0.0) -> None:
        self.outgoing: list[str] = []
        self.silence = DEFAULT_SILENCE
        self.connected = False
        self.max_payload = 1 << 20
        self._open = False
        self._acks = 0
        self._last = now

    def receive(self, frame: bytes | str) -> Heard | None:
        """What a text frame says; None when it wants nothing of you (a ping is answered by itself).

        Args:
            frame: the frame, as text or as its UTF-8.

        Raises:
            SocketIOError: for anything that a server may not say here. Nothing else is ever raised. End the
                connection then: what follows can't be trusted.
        """
        try:
            data = frame.encode() if isinstance(frame, str) else frame
            if self.connected and data.startswith(b'42["'):
                end = data.find(b'"', 4)
                name = data[4:end]
                # An escape in the name, or blanks between the parts, are legal JSON that CyTube never writes.
                if data.endswith(b"]") and b"\\" not in name and end > 0:
                    if data[end + 1 : end + 2] == b",":
                        return Event(name.decode(), data[end + 2 : -1])
                    if len(data) == end + 2:
                        return Event(name.decode(), b"")
            return self._receive(data)
        except _BAD_JSON as error:
            raise SocketIOError(f"the server sent what is no Socket.IO: {error}") from None

    def heard(self, now: float) -> None:
        """A frame, any frame, has arrived at `now` (seconds on any steady clock)."""
        self._last = now

    @property
    def deadline(self) -> float:
        """When the link is dead unless a frame comes before, on the clock that `heard` was told."""
        return self._last + self.silence

    def dead(self, now: float) -> bool:
        """Whether the server has been silent for too long."""
        return now >= self.deadline

    def data_to_send(self) -> list[str]:
        """The frames to send now, in order. They are yours: the next call gives later ones only."""
        frames, self.outgoing = self.outgoing, []
        return frames

    def emit(self, name: str, *args: object, ack: bool = False) -> int | None:
        """Queue an event. With `ack`, its number is returned, and an `Ack` of that number may follow.

        Raises:
            SocketIOError: before the session stands or after its end, and for what can't be sent.
        """
        if not self.connected:
            raise SocketIOError(f"{name} can't be sent: there is no session with CyTube now")
        number = None
        if ack:
            number = self._acks
            self._acks += 1
        try:
            body = _encode((name, *args))
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            raise SocketIOError(f"{name} can't be sent as JSON: {error}") from None
        frame = f"42{'' if number is None else number}{body.decode()}"
        if len(body) + 20 > self.max_payload:
            raise SocketIOError(
                f"{name} can't be sent: {len(body)} bytes are more than the server takes ({self.max_payload})"
            )
        self.outgoing.append(frame)
        return number

    def leave(self) -> None:
        """Queue the goodbye. Nothing can be sent after it."""
        if self.connected:
            self.connected = False
            self.outgoing.append("41")

    def _receive(self, data: bytes) -> Heard | None:
        kind, rest = data[:1], data[1:]
        if kind == b"0":
            return self._opened(rest)
        if not self._open:
            raise SocketIOError(f"the server began with {_short(data)} where it should open the transport")
        if kind == b"4":
            return self._packet(rest)
        if kind == b"2":
            self.outgoing.append("3" + rest[:125].decode())
            return None
        if kind == b"1" and not rest:
            self.connected = False
            return Closed()
        if kind in (b"3", b"6"):  # a pong we never asked for, and the packet that means nothing
            return None
        raise SocketIOError(f"the server sent {_short(data)}, which is no Engine.IO packet")

    def _opened(self, rest: bytes) -> Opened:
        if self._open:
            raise SocketIOError("the server opened the transport twice")
        said = _open.decode(rest)
        opened = Opened(said.sid, said.ping_interval / 1000, said.ping_timeout / 1000)
        self._open = True
        self.silence = opened.ping_interval + opened.ping_timeout
        self.max_payload = said.max_payload
        self.outgoing.append("40")
        return opened

    def _packet(self, packet: bytes) -> Heard | None:
        kind, rest = packet[:1], packet[1:]
        if kind == b"0":
            sid = _connect.decode(rest).sid if rest else ""
            self.connected = True
            return Connected(sid)
        if kind == b"4":
            self.connected = False
            return Refused(_refusal_text(rest))
        if not self.connected:
            raise SocketIOError(f"the server sent {_short(b'4' + packet)} outside a session")
        if kind == b"1" and not rest:
            self.connected = False
            return Disconnected()
        if kind == b"2":
            _, parts = _numbered(rest)
            if not parts:
                raise SocketIOError("the server sent an event that has no name")
            return Event(_name.decode(parts[0]), _joined(parts[1:]))
        if kind == b"3":
            number, parts = _numbered(rest)
            if number is None:
                raise SocketIOError("the server sent an acknowledgement that has no number")
            return Ack(number, _joined(parts))
        raise SocketIOError(f"the server sent {_short(b'4' + packet)}, which is no Socket.IO packet for us")


def _numbered(rest: bytes) -> tuple[int | None, list[msgspec.Raw]]:
    """The number before the list, if there is one, and the list's values."""
    start = rest.find(b"[")
    digits = rest[: max(start, 0)]
    if start < 0 or len(digits) > _MAX_DIGITS or (digits and not digits.isdigit()):
        raise SocketIOError(f"the server sent {_short(rest)} where a list should be")
    return (int(digits) if digits else None), _list.decode(rest[start:])


def _joined(parts: list[msgspec.Raw]) -> bytes:
    return b",".join(bytes(part) for part in parts)


def _refusal_text(rest: bytes) -> str:
    """A refusal's text. Servers of older protocols send a bare string, and the reason matters more than its form."""
    try:
        return _refusal.decode(rest).message
    except _BAD_JSON:
        return rest[:200].decode(errors="replace")


def _short(data: bytes) -> str:
    """The head of a frame for an error text: its type and no more, since what follows may be somebody's words."""
    head = data[:2].decode("ascii", "replace")
    return f"a frame of {len(data)} bytes that begins with {head!r}" if data else "an empty frame"
