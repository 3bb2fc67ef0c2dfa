"""A channel's connection to CyTube, for as long as the daemon runs: find, connect, visit, wait, again.

Owns when to connect, what is told of each end, and the surface that the rest of the daemon sees. One
connection's life is `visit`'s, what an end means is `ending`'s, how long to wait is `gate`'s.

Each attempt ends in exactly one event: `connection.lost`, `connection.kicked` or `connection.refused`. Only the
daemon's own stop is told by none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from structlog.typing import FilteringBoundLogger
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidProxy, InvalidStatus, WebSocketException

from rosey_core import __version__
from rosey_core.config import ChannelConfig
from rosey_core.cytube import proxy
from rosey_core.cytube.ending import Again, Ended, Ending, after_timeout
from rosey_core.cytube.finding import find
from rosey_core.cytube.gate import Backoff, ConnectGate
from rosey_core.cytube.socket import Socket
from rosey_core.cytube.translate import Draft, Translator
from rosey_core.cytube.visit import NO_PAYLOAD, Hear, Secrets, Visit
from rosey_core.errors import ConfigError, SocketIOError
from rosey_core.events import ConnectionKicked, ConnectionLost, ConnectionRefused

__all__ = ["NO_PAYLOAD", "Secrets", "Session"]

CLOSE_TIMEOUT = 1.0
"""Seconds for the closing handshake; a half-open connection is dropped after them."""

# At DEBUG, websockets logs the head of each frame, and the login's with them.
_quiet = logging.getLogger("rosey_core.cytube.websockets")
_quiet.setLevel(logging.WARNING)


class Session:
    """Keeps the bot in one room.

    Args:
        name: the channel's name in rosey.toml.
        config: its settings.
        secrets: its passwords.
        hear: takes the drafts of what happened, in order; while it works nothing more is read.
        gate: lets connections to this server through.
        log: bound to the channel's name.
        sleep: waits between attempts; tests give another.

    Attributes:
        me: the bot's name as CyTube spells it; empty when it is anonymous or not logged in yet.
        state: "waiting", "finding", "connecting", "logging in", "joining", "joined" or "stopped".
        reason: why it is in that state, for people; empty when there is nothing to say.
        translator: the channel's.
    """

    def __init__(
        self,
        name: str,
        config: ChannelConfig,
        secrets: Secrets,
        *,
        hear: Hear,
        gate: ConnectGate,
        log: FilteringBoundLogger,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.me = ""
        self.state = "waiting"
        self.reason = "not started yet"
        self.translator = Translator()
        self._config = config
        self._secrets = secrets
        self._hear = hear
        self._gate = gate
        self._log = log
        self._sleep = sleep
        self._backoff = Backoff(config.rejoin_after_kick)
        self._visit: Visit | None = None
        self._warned = False

    async def run(self) -> None:
        """Be in the room, for ever. Returns only when there is no use in trying again; `reason` says why.

        When it is cancelled it closes the connection, which takes a second at most.
        """
        wait: float | None = 0.0
        try:
            while wait is not None:
                if wait:
                    await self._sleep(wait)
                wait = await self._attempt()
        except asyncio.CancelledError:
            self.reason = "rosey is stopping"
            raise
        finally:
            self.state = "stopped"

    def emit(self, name: str, payload: object = NO_PAYLOAD, *, ack: bool = False) -> asyncio.Future[object] | None:
        """Send an event to the room. With `ack`, CyTube's answer comes by the future, or never.

        The future fails with SocketIOError when the connection ends first.

        Raises:
            SocketIOError: the bot is not in the room, or this can't be sent.
        """
        if self._visit is None:
            raise SocketIOError(f"{name} can't be sent: the bot is not in the room")
        return self._visit.emit(name, payload, ack=ack)

    # --- one attempt ---

    async def _attempt(self) -> float | None:
        """Be in the room once. Returns the seconds until the next attempt; None when there shall be none."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                through = _read_proxy(self._secrets.proxy)
                self._enter("finding")
                url = await find(
                    self._config.server,
                    self._config.room,
                    proxy=through,
                    seconds=self._config.connect_timeout,
                )
                self._enter("waiting", "for its turn: CyTube takes few connections at a time")
                await self._gate.take()
                self._enter("connecting")
                self._warn_of_plain_text(url)
                socket = await self._connect(url, through)
                stack.push_async_callback(socket.shut)
                visit = self._visit = Visit(
                    socket,
                    self._config,
                    self._secrets,
                    translator=self.translator,
                    hear=self._hear,
                    enter=self._enter,
                )
                stack.callback(visit.leave)
                await visit.stay()
            except Ended as ended:
                # Told before the socket is shut: that may take a second, and nothing can be sent any more.
                return await self._conclude(ended.ending)
            except Exception as error:
                # Our own fault ends a connection like any other: who waits for it must hear of it.
                self._log.exception("cytube.failed")
                return await self._conclude(
                    Ending("lost", f"rosey itself failed ({type(error).__name__}); its log has more", least=10)
                )
            finally:
                self._visit = None

    async def _connect(self, url: str, through: proxy.Proxy | None) -> Socket:
        seconds = self._config.connect_timeout
        host = urlsplit(url).netloc
        try:
            connection = await connect(
                url,
                create_connection=Socket,
                compression=None,
                ping_interval=None,  # CyTube pings, by Engine.IO
                open_timeout=seconds,
                close_timeout=CLOSE_TIMEOUT,
                max_size=self._config.max_frame_mib << 20,
                proxy=through.url if through else None,
                user_agent_header=f"rosey/{__version__}",
                logger=_quiet,
            )
        except TimeoutError:
            raise Ended(after_timeout(f"connecting to {host}", seconds)) from None
        except InvalidStatus as error:
            status = error.response.status_code
            raise Ended(Ending("lost", f"{host} answered with HTTP status {status}")) from None
        except InvalidProxy:  # its text holds the whole address
            raise Ended(Ending("lost", "the proxy's address is not understood")) from None
        except (OSError, ValueError, WebSocketException) as error:
            words = str(error) or type(error).__name__
            raise Ended(Ending("lost", f"{host} can't be reached: {words}")) from None
        assert isinstance(connection, Socket)  # noqa: S101  connect's return type does not follow create_connection
        return connection

    async def _conclude(self, end: Ending) -> float | None:
        """Say that it ended and what comes next."""
        visit, self._visit = self._visit, None
        joined = visit.joined if visit else None
        if joined is not None:
            self._backoff.stayed(asyncio.get_running_loop().time() - joined)
        if end.again is Again.LIMITED:
            self._gate.exhausted()
        wait = self._backoff.after(end)
        retry = round(wait, 1) if wait is not None else 0.0
        if wait is None:
            self._enter("stopped", end.reason)
            self._log.error("cytube.stopped", why=end.kind, reason=end.reason)
        else:
            why = end.reason if end.kind != "kicked" or end.reason.startswith("kicked") else f"kicked: {end.reason}"
            self._enter("waiting", f"{why}; again in {retry:g} s")
            self._log.warning(f"cytube.{end.kind}", reason=end.reason, retry=retry)
        await self._hear([Draft(_event(end, final=wait is None, retry=retry))])
        return wait

    def _enter(self, state: str, reason: str = "") -> None:
        self.state = state
        self.reason = reason
        if state == "joining" and self._visit is not None:
            self.me = self._visit.me
        if state == "joined" and self._visit is not None:
            self._log.info("cytube.joined", room=self._config.room, name=self.me, rank=self._visit.rank)

    def _warn_of_plain_text(self, url: str) -> None:
        if not self._warned and url.startswith("ws:") and self._config.server.startswith("https:"):
            self._warned = True
            self._log.warning("cytube.plain_text", server=urlsplit(url).netloc)


def _read_proxy(address: str) -> proxy.Proxy | None:
    try:
        return proxy.read(address)
    except ConfigError as error:
        raise Ended(Ending("refused", str(error), Again.NEVER)) from None


def _event(end: Ending, *, final: bool, retry: float) -> ConnectionLost | ConnectionKicked | ConnectionRefused:
    if end.kind == "kicked":
        return ConnectionKicked(reason=end.reason, final=final, retry=retry)
    if end.kind == "refused":
        return ConnectionRefused(reason=end.reason, final=final, retry=retry)
    return ConnectionLost(reason=end.reason, retry=retry)
