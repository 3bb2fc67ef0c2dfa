"""A durable lane: events from the event log to one plugin in one channel, in order, each at least once.

A list that fails is tried again in place, event by event, and the lane waits; what fails again and again becomes a
dead letter, and the lane goes on. Where it stands is on disk, so a restart of anything goes on there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from rosey_core.clock import WallClock
from rosey_core.envelope import NOTHING, NormalizedEvent, decode, encode
from rosey_core.eventlog.engine import Dead
from rosey_core.eventlog.privacy import without
from rosey_core.eventlog.reader import Reader
from rosey_core.events import UserList, paged
from rosey_core.host.context import Port
from rosey_core.host.home import Deliver, Failure
from rosey_core.host.lane import LIST
from rosey_core.host.turn import Turn, first_of, without_user

BACK_OFF = (0.5, 60.0)
"""Seconds before what failed is tried again, the first time and at most."""


class Graves(Protocol):
    """Where dead letters go; the event log."""

    def bury(self, dead: Dead) -> None:
        """Keep one."""

    def raise_up(self, plugin: str, channel: str, seq: int) -> None:
        """One is none any more."""


class DurableLane:
    """Events on their way from the event log to a plugin.

    Args:
        plugin: its name.
        channel: the channel's.
        deliver: is given lists of 1 to 256 events, and says when it failed at one.
        wants: whether the plugin hears events of a type.
        reader: reads the log for this plugin and channel.
        graves: takes dead letters.
        max_tries: how often one event may fail.
        clock: tells the time.
        log: bound to plugin and channel.

    Attributes:
        buried: events that became dead letters since the start.
        dropped: events that were trimmed from the log before the plugin had them, and dead letters.
    """

    def __init__(
        self,
        plugin: str,
        channel: str,
        deliver: Deliver,
        *,
        wants: Callable[[str], bool],
        reader: Reader,
        graves: Graves,
        max_tries: int,
        clock: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self._plugin = plugin
        self._channel = channel
        self._turn = Turn(deliver)
        self._wants = cache(wants)  # its answers do not change, and are asked for each event
        self._reader = reader
        self._graves = graves
        self._max_tries = max_tries
        self._clock = clock
        self._log = log
        self._again: dict[int, Dead] = {}
        self._hand: list[NormalizedEvent] = []
        self._closed = asyncio.Event()
        self.dropped = 0
        self.buried = 0
        self._reason = ""

    @property
    def reason(self) -> str:
        """Why it waits; empty while it does not."""
        return self._reason or self._reader.fault

    def __len__(self) -> int:
        return self._reader.waiting

    async def run(self) -> None:
        """Hand over what is there and what comes, until cancelled."""
        while True:
            while self._again:
                await self._retry(self._again.pop(next(iter(self._again))))
            self._hand, reached = await self._reader.next(self._wants, LIST)
            self.dropped += sum(event.data.count for event in self._hand if event.event_type == "core.gap")
            await self._hand_over()
            self._reader.advance(reached)
            # A plugin that never waits must not hold the loop while it catches up.
            await asyncio.sleep(0)

    async def _hand_over(self) -> None:
        tries, alone = 0, False
        while self._hand:
            part = self._hand[:1] if alone else self._hand[:]
            failure = await self._turn.take(part)
            if failure is None or failure.handled:
                handled = part if failure is None else part[: failure.handled]
                tries = 0
                self._reader.advance(handled[-1].seq)
                self._drop({event.seq for event in handled})
            if failure is None:
                self._reason = ""
                continue
            alone = True
            if failure.retry:
                await self._wait(failure.retry, failure.reason)
                continue
            tries += 1
            (first, most), event = BACK_OFF, part[failure.handled]
            if tries < self._max_tries or self._max_tries == 1:  # many that fail at once are no storm of letters
                await self._wait(min(first * 2 ** (tries - 1), most), f"event {_name(event)}: {failure.reason}")
            if tries >= self._max_tries and event in self._hand:
                self._bury(event, failure, tries)
                self._drop({event.seq})
                tries = 0

    def _drop(self, seqs: set[int]) -> None:
        self._hand = [event for event in self._hand if event.seq not in seqs]

    async def forget(self, user: str, seconds: float) -> None:
        """Keep nothing of a user in hand; what the plugin works on just then is waited for, so many seconds."""
        self._hand = without_user(self._hand, user)
        letters = [(dead, without(dead.kind, dead.body, user)) for dead in self._again.values()]
        self._again = {dead.seq: dead._replace(body=body) for dead, body in letters if body is not None}
        await self._turn.over(seconds)

    async def _wait(self, seconds: float, reason: str) -> None:
        if not self._reason:
            self._log.warning("lane.waits", reason=reason, again_in=seconds)
        self._reason = reason
        await asyncio.sleep(seconds)

    def _bury(self, event: NormalizedEvent, failure: Failure, tries: int) -> None:
        error = _storable(failure.reason)
        self._log.error("lane.dead_letter", id=_name(event), event_type=event.event_type, tries=tries, reason=error)
        self.dropped += 1
        self.buried += 1
        self._reason = ""
        self._graves.bury(
            Dead(
                self._plugin,
                self._channel,
                event.seq,
                event.event_type,
                tries,
                error,
                self._clock(),
                encode(event),
            )
        )

    def retry(self, dead: Dead) -> None:
        """Hand over a dead letter once more, between others; it is one again if that fails."""
        self._again[dead.seq] = dead
        self._reader.wake()

    async def _retry(self, dead: Dead) -> None:
        if not self._wants(dead.kind):
            self._log.warning("lane.dead_letter", id=dead.id, event_type=dead.kind, reason="it may not read that now")
            return
        failure = await self._turn.take([decode(dead.body)])
        if failure is None:
            self._graves.raise_up(self._plugin, self._channel, dead.seq)
            self._log.info("lane.risen", id=dead.id)
        else:
            error = _storable(failure.reason)
            self._log.warning("lane.dead_letter", id=dead.id, event_type=dead.kind, reason=error)
            self._graves.bury(dead._replace(tries=dead.tries + 1, error=error, when=self._clock()))

    def close(self) -> None:
        """Nobody will take more; what was not handled stays in the log."""
        self._closed.set()

    async def drained(self) -> None:
        """Wait until everything that is in the log has been handled, or the lane is closed."""
        await first_of(self._reader.caught_up(), self._closed.wait())


def present(port: Port, seq: int, now: float) -> list[NormalizedEvent]:
    """Who is in the room, as pages of `user.list`: what a new plugin would not hear of before they leave."""
    return [
        NormalizedEvent(
            "user.list",
            "cytube",
            page,
            now + number / 1_000,  # by number and time each is another event
            NOTHING,
            f"{port.name}-{seq}-list-{number}",
            port.name,
            seq,
        )
        for number, page in enumerate(paged(UserList, list(port.state.users)), 1)
        if page.users
    ]


def _name(event: NormalizedEvent) -> str:
    """The event as `rosey plugins retry` names it."""
    return f"{event.channel}-{event.seq}"


def _storable(text: str) -> str:
    """A text without halves of characters, which no file and no log takes."""
    return text.encode("utf-8", "replace").decode()
