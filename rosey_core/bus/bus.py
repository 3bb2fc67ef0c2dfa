"""The bus as the rest of rosey sees it: publish, answer, subscribe. NATS may be away at any time.

Publishing never waits and never fails. While NATS is away messages wait in an `Outbox`; a new connection is made
for each that is lost, its subscriptions are there before anything goes out, then come the gaps, then what waited.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from rosey_core.bus.access import may_answer
from rosey_core.bus.link import Link, Login, Take
from rosey_core.bus.outbox import Gap, Outbox
from rosey_core.errors import BusError

__all__ = ["Bus", "Login"]

BACK_OFF = (0.1, 2.0)
"""Seconds before another try, the first and the longest; half of it is left to chance."""
STEADY = 5.0
"""A connection that lived so many seconds was a good one: the next try comes soon."""
BATCH = 128
BATCH_BYTES = 64 << 10
UNSENT = 256 << 10
"""Bytes that may be under way in nats-py. The rest waits in the outbox, where it is not in doubt."""
USUAL_MAX_PAYLOAD = 1 << 20
"""NATS' own default, assumed until a server said something else."""
LOG_EVERY = 60.0

GapMessage = Callable[[str, int, int, int, bool], tuple[str, bytes]]
"""Makes the message that announces a gap: channel, count, first, last, certain -> subject, payload."""


class Bus:
    """The daemon's one connection to NATS, over all the connections that it takes.

    Args:
        login: tells where NATS is and who we are, before each connection; it may wait and may raise `BusError`.
        name: of the client; its inboxes are under `_INBOX_{name}`, where the user must be allowed to publish and
            to subscribe.
        gap: makes the announcement of lost messages.
        log: for connections made and lost.

    Attributes:
        reason: why it is not connected; empty while it is.
        connections: how many there were.
        found: is told of each connection that is made.
        lost: is told of each that is over, and why.
    """

    def __init__(
        self, login: Callable[[], Awaitable[Login]], *, name: str, gap: GapMessage, log: FilteringBoundLogger
    ) -> None:
        self.reason = "not started"
        self.connections = 0
        self._login = login
        self._name = name
        self._gap = gap
        self._log = log
        self._outbox = Outbox()
        self._max_payload = USUAL_MAX_PAYLOAD
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._told = -LOG_EVERY
        self._subscriptions: dict[str, Take] = {}
        self.found: Callable[[], None] = lambda: None
        self.lost: Callable[[str], None] = lambda _: None

    @property
    def connected(self) -> bool:
        """Whether NATS takes messages now, as far as anybody can know."""
        return self._link is not None

    def counts(self) -> dict[str, int]:
        """Numbers since the start: `published`, `waiting`, `dropped`, `connections`."""
        box = self._outbox
        return {
            "published": box.put_in,
            "waiting": len(box),
            "dropped": box.dropped,
            "connections": self.connections,
        }

    # --- sending ---

    def publish(self, subject: str, payload: bytes, channel: str, seq: int) -> bool:
        """Publish an event of a channel without waiting; never raises. To be called in the event loop's thread.

        Args:
            subject: from `subjects`: one without spaces.
            payload: JSON.
            channel: the channel whose event it is, for gaps.
            seq: the event's number in that channel, from 1 and growing.

        Returns:
            Whether it is on its way. False: it is bigger than the server takes.
        """
        if len(payload) > self._max_payload:
            return False
        self._outbox.put(_command(subject, payload), channel, seq)
        self._wake.set()
        return True

    def publish_own(self, subject: str, payload: bytes, reply: str = "") -> None:
        """The same for what belongs to no channel: a plugin's own event, a request with a `reply` subject.

        Raises:
            BusError: it is bigger than the server takes, or too many of that sort wait already.
        """
        if len(payload) > self._max_payload:
            raise BusError(f"its {len(payload)} bytes are more than NATS takes at once ({self._max_payload})")
        if not self._outbox.put(_command(subject, payload, reply), "", 0):
            raise BusError("too much waits for NATS already")
        self._wake.set()

    def request(self, subject: str, payload: bytes, reply: str) -> None:
        """Publish a request now: one that waited for NATS would be answered when nobody asks any more.

        Raises:
            BusError: NATS is away, or as for `publish_own`.
        """
        if self._link is None:
            raise BusError(self.reason)
        self.publish_own(subject, payload, reply)

    def answer(self, reply: str, payload: bytes) -> None:
        """Answer a request, if `access.may_answer` allows the reply subject.

        Raises:
            BusError: as for `publish_own`.
        """
        if may_answer(reply):
            self.publish_own(reply, payload)
        else:
            self._log.warning("bus.no_inbox", reply=reply[:100])

    # --- receiving ---

    async def subscribe(self, subject: str, take: Take) -> None:
        """Have every message of a subject given to `take`, on this connection and all later ones.

        After a `barrier` the server has the subscription. Messages of one subscription come in order; those of
        two may overtake each other.
        """
        self._subscriptions[subject] = take
        if self._link is not None:
            await self._link.subscribe(subject, take)

    # --- life ---

    async def start(self) -> None:
        """Begin to connect, and to connect again, until `close`. Returns at once."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="bus")

    async def ready(self, timeout: float) -> None:  # noqa: ASYNC109  it is told to people
        """Wait until NATS is there. Raises `BusError` after `timeout` seconds, with the reason."""
        try:
            async with asyncio.timeout(timeout):
                await self._up.wait()
        except TimeoutError:
            raise BusError(self.reason) from None

    async def barrier(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109  it is told to people
        """Wait until the server has everything published and subscribed so far.

        Raises:
            BusError: NATS is away or goes away, or it takes longer than `timeout` seconds.
        """
        link, target = self._link, self._outbox.put_in
        if link is None:
            raise BusError(f"NATS is away ({self.reason})")
        try:
            async with asyncio.timeout(timeout):
                while self._outbox.passed < target and not link.lost.is_set():
                    self._progress.clear()
                    await self._progress.wait()
                await link.confirmed()
        except TimeoutError:
            raise BusError(f"NATS did not take everything within {timeout:g} s") from None

    async def close(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109  it is the caller's budget
        """Deliver what waits, for at most `timeout` seconds, and stop for good. Takes a second more at worst."""
        if self._link is not None:
            with contextlib.suppress(BusError):
                await self.barrier(timeout)
        self._closed = True
        while self._task is not None and not self._task.done():  # a cancel can get lost in nats-py
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=1.2)
        self.reason = "closed"
        if len(self._outbox):
            self._log.warning("bus.undelivered", messages=len(self._outbox))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        delay, longest = BACK_OFF
        while not self._closed:
            began = loop.time()
            link = Link(self._name, self._outbox, self._log)
            try:
                await link.open(await self._login(), self._subscriptions)
                await self._serve(link)
            except Exception as error:
                self.reason = str(error) or type(error).__name__
            finally:
                await link.close()
            if loop.time() - self._told >= LOG_EVERY:
                self._told = loop.time()
                self._log.warning("bus.away", reason=self.reason, waiting=len(self._outbox))
            if loop.time() - began >= STEADY:
                delay = BACK_OFF[0]
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311  spreads load, hides nothing
            delay = min(delay * 2, longest)

    async def _serve(self, link: Link) -> None:
        """Use a connection to its end."""
        self._link = link
        for subject, take in tuple(self._subscriptions.items()):  # what came while it was opened
            await link.subscribe(subject, take)
        self.connections += 1
        self.reason = ""
        self._told = -LOG_EVERY
        self._max_payload = link.max_payload
        self._up.set()
        self._log.info("bus.connected", connections=self.connections, waiting=len(self._outbox))
        self.found()
        pump = asyncio.get_running_loop().create_task(self._pump(link), name="bus pump")
        try:
            await link.watch()
        finally:
            self._link = None
            self.reason = link.reason or "closed"
            self.lost(self.reason)
            self._up.clear()
            self._progress.set()
            pump.cancel()
            await asyncio.wait((pump,))
            self._outbox.broken()

    async def _pump(self, link: Link) -> None:
        """Move what waits into the connection, no faster than its socket takes it."""
        box = self._outbox
        try:
            while True:
                commands = [self._announcement(channel, gap) for channel, gap in box.gaps()]
                commands += box.batch(BATCH, BATCH_BYTES)
                if commands:
                    await link.write(commands)
                self._progress.set()
                while link.unsent > UNSENT:  # noqa: ASYNC110  nats-py has no event for it
                    await asyncio.sleep(0.01)
                if len(box):
                    await asyncio.sleep(0)
                else:
                    self._wake.clear()
                    await self._wake.wait()
        except Exception as error:
            self._log.exception("bus.failed")
            link.end(f"rosey failed to write: {error}")

    def _announcement(self, channel: str, gap: Gap) -> bytes:
        lost = (gap.count, gap.first, gap.last, gap.certain)
        self._log.warning("bus.gap", channel=channel, count=gap.count, first=gap.first, last=gap.last)
        return _command(*self._gap(channel, *lost))


def _command(subject: str, payload: bytes, reply: str = "") -> bytes:
    where = f"{subject} {reply}" if reply else subject
    return b"PUB %b %d\r\n%b\r\n" % (where.encode(), len(payload), payload)
