"""One connection to NATS, from its opening to its end. What waits, and the next connection, are `bus`'s business.

Everything that nats-py does by PING is done by *marks* instead: messages to ourselves, which go out in order with
all others. A mark that comes back proves that the server took everything before it, subscriptions too, and that it
is alive. (nats-py's `flush` overtakes what is buffered, returns without a server, and when its answer comes late,
the client falls silent for good.) A subject that keeps order has to be one subscription: nats-py runs each in a
task of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core import subjects
from rosey_core.bus.client import Client, Msg, RawCredentials, errors
from rosey_core.bus.outbox import Outbox
from rosey_core.errors import BusError

Take = Callable[[str, bytes, str], None]
"""Takes a message: subject, payload, reply subject (empty for none). It must not block."""

CONNECT_SECONDS = 5.0
FIRST_MARK_SECONDS = 5.0
TICK = 0.25
"""Seconds between looks at a busy connection: how old a message gets, about, before it is out of doubt."""
IDLE_TICK = 1.0
IDLE_MARK = 2.0
DEAD = 5.0
"""Seconds without an answer to a mark after which the connection is dead; with the two above, 9 s at most."""
LOG_EVERY = 10.0
FORBIDDEN = "permissions violation"


class Login(msgspec.Struct, frozen=True):
    """Where NATS is and who we are.

    `credentials` is the text of a credentials file, in place of a password. `ca` is that of the certificates to
    trust, in place of the system's.
    """

    url: str
    user: str = ""
    password: str = ""
    credentials: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        return f"Login({self.where!r}, user={self.user!r})"

    @property
    def where(self) -> str:
        """The address without a name or password that may stand in it."""
        parts = urlsplit(self.url if "://" in self.url else f"nats://{self.url}")
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class Link:
    """A connection.

    Args:
        name: ours, as in inbox prefixes and in the server's list of clients.
        outbox: is told of marks.
        log: for what the connection says.

    Attributes:
        lost: set when the connection is over, for whatever reason.
        reason: why it is over.
        max_payload: bytes that the server takes in one message.
    """

    def __init__(self, name: str, outbox: Outbox, log: FilteringBoundLogger) -> None:
        self.lost = asyncio.Event()
        self.reason = ""
        self.max_payload = 0
        self._name = name
        self._outbox = outbox
        self._log = log
        self._nonce = secrets.token_hex(8)
        self._heart = subjects.heartbeat(name)
        self._nats = Client()
        self._subscribed: set[str] = set()
        self._marked = 0
        self._confirmed = 0
        self._echoes: dict[int, asyncio.Future[None]] = {}
        self._quiet: dict[str, tuple[float, int]] = {}
        self._fault = ""

    @property
    def unsent(self) -> int:
        """Bytes that the socket did not take yet."""
        return self._nats.unsent

    async def open(self, login: Login, subscriptions: Mapping[str, Take]) -> None:
        """Connect and subscribe; the server has it all when this returns.

        Raises:
            BusError: when that fails. The link is over then.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connect(login)
        except TimeoutError:
            raise BusError(f"NATS at {login.where} can't be used: no answer within {CONNECT_SECONDS:g} s") from None
        except Exception as error:
            reason = self._fault or str(error) or type(error).__name__
            raise BusError(f"NATS at {login.where} can't be used: {reason}") from None
        self.max_payload = self._nats.max_payload
        try:
            async with asyncio.timeout(FIRST_MARK_SECONDS):
                await self.subscribe(self._heart, self._beat)
                for subject, take in tuple(subscriptions.items()):
                    await self.subscribe(subject, take)
                await self.confirmed()
        except (TimeoutError, BusError):
            reason = self.reason or f"it does not pass on what we publish to {self._heart}"
            raise BusError(f"NATS at {login.where} can't be used: {reason}") from None

    async def _connect(self, login: Login) -> None:
        await self._nats.connect(
            login.url,
            name=f"rosey/{self._name}",
            user=login.user or None,
            password=login.password or None,
            user_credentials=RawCredentials(login.credentials) if login.credentials else None,
            tls=ssl.create_default_context(cadata=login.ca) if login.ca else None,
            inbox_prefix=f"_INBOX_{self._name}",
            allow_reconnect=False,
            max_reconnect_attempts=1,  # two tries: 0 would mean for ever
            reconnect_time_wait=0,
            connect_timeout=2,
            ping_interval=30,
            pending_size=1 << 30,  # never reached, because `bus` waits for `unsent`; at the limit nats-py would block
            error_cb=self._error,
            closed_cb=self._closed,
        )

    async def subscribe(self, subject: str, take: Take) -> None:
        """Have messages of a subject given to `take`, once a connection. Sent when this returns, not confirmed."""
        if subject in self._subscribed:
            return
        self._subscribed.add(subject)

        async def called(message: Msg) -> None:
            try:
                take(message.subject, message.data, message.reply)
            except Exception:
                self._log.exception("bus.callback_failed", subject=subject)

        with contextlib.suppress(errors.Error):  # the connection is over; the next one makes it
            await self._nats.subscribe(subject, cb=called)

    async def write(self, commands: list[bytes]) -> None:
        """Write commands, in order. Whether they arrive is for the next mark to tell."""
        if not self.lost.is_set():
            await self._nats.write(commands)

    async def confirmed(self) -> None:
        """Return when the server has everything that was written before. Wrap it in a time-out.

        Raises:
            BusError: when the connection ends meanwhile.
        """
        if self.lost.is_set():
            raise BusError(self.reason)
        number = self._outbox.mark()
        echo = self._echoes[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send_mark(number)
            await echo
        finally:
            self._echoes.pop(number, None)

    async def watch(self) -> None:
        """Set marks, and return when the connection is over: closed, broken, or silent for too long."""
        loop = asyncio.get_running_loop()
        silent = idle = 0.0
        while not self.lost.is_set():
            tick = TICK if self._outbox.in_doubt else IDLE_TICK
            before = loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(tick):
                    await self.lost.wait()
            # When our own loop was blocked, or the machine slept, the server did not fall silent.
            passed = min(loop.time() - before, 2 * tick)
            if self._confirmed < self._marked:
                silent += passed
                if silent >= DEAD:
                    self.end(f"no answer for {silent:.0f} s")
                continue
            silent = 0.0
            idle += passed
            if self._outbox.in_doubt or idle >= IDLE_MARK:
                idle = 0.0
                await self._send_mark(self._outbox.mark())

    def end(self, reason: str) -> None:
        """The connection is over; the first reason counts."""
        if self.lost.is_set():
            return
        self.reason = reason
        self.lost.set()
        for echo in self._echoes.values():
            if not echo.done():
                echo.set_exception(BusError(reason))

    async def close(self) -> None:
        """Throw the connection away, with what is unsent. Quick, whatever state the server is in."""
        self.end("closed")
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                await self._nats.close()

    # --- what nats-py calls; nothing may leave these, since an exception ends its reading in silence ---

    async def _send_mark(self, number: int) -> None:
        self._marked = number
        payload = b"%s %d" % (self._nonce.encode(), number)
        with contextlib.suppress(errors.Error):
            await self._nats.publish(self._heart, payload)

    def _beat(self, _subject: str, payload: bytes, _reply: str) -> None:
        nonce, _, number = payload.decode("ascii", "replace").partition(" ")
        if nonce != self._nonce or not number.isdigit():
            return  # another rosey of the same name on this server
        self._confirmed = int(number)
        self._outbox.confirm(self._confirmed)
        for mark, echo in self._echoes.items():
            if mark <= self._confirmed and not echo.done():
                echo.set_result(None)

    async def _closed(self) -> None:
        self.end(self._fault or "the server closed the connection")

    async def _error(self, error: Exception) -> None:
        try:
            self._heard(error)
        except Exception:  # pragma: no cover  a logger that fails must not end the reading
            self.end("the log failed")

    def _heard(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if FORBIDDEN not in text:
            self._fault = text
        elif f'"{self._heart.lower()}"' in text:
            self.end(f"the user may not publish and subscribe to _INBOX_{self._name}.>; allow it that")
        if isinstance(error, OSError | errors.UnexpectedEOF):
            if self._nats.is_connected:
                self.end(text)
            return  # while connecting `open` tells it, once
        self._say(type(error).__name__, text)

    def _say(self, kind: str, text: str) -> None:
        """Log a kind of error now and then: a slow consumer is one error for each message."""
        now = asyncio.get_running_loop().time()
        told, missed = self._quiet.get(kind, (-LOG_EVERY, 0))
        if now - told < LOG_EVERY:
            self._quiet[kind] = (told, missed + 1)
            return
        self._quiet[kind] = (now, 0)
        self._log.warning("bus.error", kind=kind, error=text, since_then=missed)
