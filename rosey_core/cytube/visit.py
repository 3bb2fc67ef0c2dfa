"""One connection's life: the greeting, the login, the join, the stay, and the reason for its end.

Owns the order of these steps and their time-outs, and hands on what CyTube says. What happens before there is a
connection and after its end is `session`'s; what an end means is `ending`'s.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import msgspec

from rosey_core.config import ChannelConfig
from rosey_core.cytube import ending, wire
from rosey_core.cytube.ending import Ended, Ending
from rosey_core.cytube.socket import Socket
from rosey_core.cytube.translate import Draft, Translator
from rosey_core.errors import SocketIOError
from rosey_core.events import (
    ConnectionJoined,
    ConnectionKicked,
    ConnectionLogin,
    ConnectionMoved,
    ConnectionPassword,
    ConnectionRank,
    Data,
    ErrorMessage,
)

BATCH = 128
"""Frames between two looks at the rest of the program: 2 or 3 ms of work, with what `hear` does."""
SLICE = 0.003
"""Seconds after which a batch ends early."""
PASSWORD_GRACE = 3.0
"""Seconds that CyTube gets to notice that a moderator needs no room password."""

_OURS = frozenset(
    {"login", "rank", "needPassword", "cancelNeedPassword", "kick", "userlist", "partitionChange", "errorMsg"}
)


class NoPayload:
    """The type of `NO_PAYLOAD`."""


NO_PAYLOAD = NoPayload()
"""An event without an argument, which is not the same as one whose argument is null."""

Hear = Callable[[list[Draft]], Awaitable[None]]


class Secrets(msgspec.Struct, frozen=True):
    """What the owner told us and nobody else may see."""

    password: str = ""
    room_password: str = ""
    proxy: str = ""

    def __repr__(self) -> str:
        return "Secrets(...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []  # msgspec's own would show them


class Visit:
    """One connection to a room.

    Args:
        socket: the open websocket; whoever made it closes it.
        config: who the bot is, and where.
        secrets: its passwords.
        translator: the channel's.
        hear: takes the drafts; while it works nothing more is read.
        enter: told each state: "logging in", "joining", "joined".

    Attributes:
        me: the bot's name as CyTube spells it; empty when it is anonymous.
        rank: its rank as CyTube last said.
        joined: the loop's time of the join; None before.
    """

    def __init__(
        self,
        socket: Socket,
        config: ChannelConfig,
        secrets: Secrets,
        *,
        translator: Translator,
        hear: Hear,
        enter: Callable[[str], None],
    ) -> None:
        self.me = ""
        self.rank = -1.0
        self.joined: float | None = None
        self._socket = socket
        self._config = config
        self._secrets = secrets
        self._translator = translator
        self._hear = hear
        self._enter = enter
        self._loop = asyncio.get_running_loop()
        self._wire = wire.Wire(self._loop.time())
        self._acks: dict[int, asyncio.Future[object]] = {}
        self._room_password_sent = False
        self._step = ""
        self._expect("the greeting", config.connect_timeout)

    async def stay(self) -> NoReturn:
        """Log in, join and listen, until it ends.

        Raises:
            Ended: always.
        """
        socket, protocol = self._socket, self._wire
        try:
            while True:
                if socket.frames:
                    await self._batch()
                    continue
                if socket.ended:
                    raise Ended(self._after_close())
                now = self._loop.time()
                if now >= self._due:
                    raise Ended(self._overdue)
                if protocol.dead(now):
                    raise Ended(ending.after_silence(protocol.silence))
                await socket.arrival(min(self._due, protocol.deadline))
        finally:
            self._settle_acks()

    def leave(self) -> None:
        """Say goodbye to CyTube; the socket's closing comes after it."""
        self._wire.leave()
        self._flush()

    def emit(self, name: str, payload: object, *, ack: bool) -> asyncio.Future[object] | None:
        """Send an event to the room; with `ack`, the answer comes by the future.

        Raises:
            SocketIOError: the bot is not in the room, or this can't be sent.
        """
        if self.joined is None or self._socket.ended:
            raise SocketIOError(f"{name} can't be sent: the bot is not in the room")
        number = self._send(name, payload, ack=ack)
        self._flush()
        if number is None:
            return None
        future: asyncio.Future[object] = self._loop.create_future()
        self._acks[number] = future
        future.add_done_callback(lambda _: self._acks.pop(number, None))
        return future

    # --- reading ---

    async def _batch(self) -> None:
        """Read some of what waits, hand it on, and let others run."""
        socket, protocol, feed = self._socket, self._wire, self._translator.feed
        frames = socket.frames
        drafts: list[Draft] = []
        end: Ended | None = None
        time = self._loop.time
        until = time() + SLICE
        try:
            for count in range(BATCH):
                if not frames or (not count & 15 and count and time() > until):
                    break
                heard = protocol.receive(socket.take())
                if type(heard) is wire.Event:
                    if heard.name in _OURS:
                        self._own(heard, drafts)
                    else:
                        drafts += feed(heard)
                elif heard is not None:
                    self._other(heard)
        except Ended as ended:
            end = ended
        except SocketIOError as error:
            end = Ended(Ending("lost", str(error)))
        protocol.heard(time())
        self._flush()
        if drafts:
            await self._hear(drafts)
        if end is not None:
            raise end
        if frames:
            await asyncio.sleep(0)

    def _other(self, heard: wire.Heard) -> None:
        """What is said by Socket.IO itself."""
        match heard:
            case wire.Connected():
                self._log_in()
            case wire.Refused(message):
                raise Ended(ending.after_refusal(message))
            case wire.Disconnected():
                raise Ended(ending.after_disconnect())
            case wire.Closed():
                raise Ended(ending.after_close(None))
            case wire.Ack(number, args):
                future = self._acks.get(number)
                if future is not None and not future.done():
                    future.set_result(_first(args))
            case _:
                pass

    def _own(self, event: wire.Event, drafts: list[Draft]) -> None:
        """An event that concerns the connection itself. It is told as the others are, but for the kick."""
        name = event.name
        made = self._translator.feed(event)
        data: Data | None = made[0].data if made else None
        if name == "kick":
            # Its own event says whether the bot comes back: that is known only to the session.
            reason = data.reason if isinstance(data, ConnectionKicked) else ""
            raise Ended(ending.after_kick(reason))
        drafts += made
        if isinstance(data, ConnectionRank):
            self.rank = data.rank
        elif isinstance(data, ConnectionMoved) or name == "partitionChange":
            raise Ended(ending.after_moved())
        elif self.joined is not None:
            return
        elif name == "login":
            self._logged_in(data if isinstance(data, ConnectionLogin) else ConnectionLogin(ok=False))
        elif isinstance(data, ConnectionPassword):
            self._password(data.state)
        elif isinstance(data, ErrorMessage):
            end = ending.after_join_error(data.text) if self._step == "joining" else None
            if end is not None:
                raise Ended(end)
        elif name == "userlist" and self._step == "joining":
            self._in(drafts)

    # --- the steps ---

    def _log_in(self) -> None:
        name, password = self._config.username, self._secrets.password
        if self._step:
            raise SocketIOError("the server connected the session twice")
        if not name:
            self._join()
            return
        self._begin("logging in")
        self._send("login", {"name": name, "pw": password} if password else {"name": name})

    def _logged_in(self, login: ConnectionLogin) -> None:
        if self._step != "logging in":
            return
        if not login.ok:
            raise Ended(ending.after_login_error(login.error))
        self.me = login.name or self._config.username
        self._join()

    def _join(self) -> None:
        self._begin("joining")
        join = {"name": self._config.room}
        if self._secrets.room_password:
            join["pw"] = self._secrets.room_password
        self._translator.joining()
        self._send("joinChannel", join)

    def _password(self, state: str) -> None:
        """The room asks for its password. Someone of rank 2 gets in without, but CyTube may ask first."""
        given = bool(self._secrets.room_password)
        if state == "accepted":
            self._expect("joining", self._config.connect_timeout)
        elif state == "needed" and given and not self._room_password_sent:
            self._room_password_sent = True
            self._send("channelPassword", self._secrets.room_password)
        elif self._secrets.password and self._config.username:
            self._expect("joining", min(PASSWORD_GRACE, self._config.connect_timeout))
            self._overdue = ending.after_password(given=given)
        else:
            raise Ended(ending.after_password(given=given))

    def _in(self, drafts: list[Draft]) -> None:
        self.joined = self._loop.time()
        self._due = math.inf
        self._step = "joined"
        self._enter("joined")
        drafts.append(Draft(ConnectionJoined(room=self._config.room, name=self.me, rank=self.rank)))

    def _begin(self, step: str) -> None:
        self._step = step
        self._enter(step)
        self._expect(step, self._config.connect_timeout)

    def _expect(self, what: str, seconds: float) -> None:
        """From now on there are `seconds` for the next step."""
        self._due = self._loop.time() + seconds
        self._overdue = ending.after_timeout(what, seconds)

    # --- sending and ending ---

    def _send(self, name: str, payload: object, *, ack: bool = False) -> int | None:
        if payload is NO_PAYLOAD:
            return self._wire.emit(name, ack=ack)
        return self._wire.emit(name, payload, ack=ack)

    def _flush(self) -> None:
        if self._wire.outgoing:
            for frame in self._wire.data_to_send():
                self._socket.write(frame)

    def _after_close(self) -> Ending:
        if self._socket.broken:
            return Ending("lost", self._socket.broken)
        if self._socket.overlong:
            return ending.after_overlong(self._config.max_frame_mib)
        return ending.after_close(self._socket.why_closed)

    def _settle_acks(self) -> None:
        for future in tuple(self._acks.values()):
            if not future.done():
                future.set_exception(SocketIOError("the connection ended before CyTube answered"))
                future.exception()  # now nobody is told that it was never looked at


def _first(args: bytes) -> Any:
    """The first argument of an answer; None when there is none, or it is no JSON."""
    try:
        values = msgspec.json.decode(b"[" + args + b"]")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return values[0] if values else None
