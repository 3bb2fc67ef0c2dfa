"""A durable lane: events from the event log to one plugin in one channel, in order, each at least once.

A list that fails is tried again in place, event by event, and the lane waits; what fails again and again becomes a
dead letter, and the lane goes on. Where it stands is on disk, so a restart of anything goes on there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from rosey_core.clock import WallClock
from rosey_core.envelope import NormalizedEvent, decode, encode
from rosey_core.eventlog.engine import Dead
from rosey_core.eventlog.reader import Reader
from rosey_core.host.home import Deliver, Failure
from rosey_core.host.lane import LIST

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
        dropped: events that were trimmed from the log before the plugin had them, and dead letters.
        reason: why it waits; empty while it does not.
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
        self._deliver = deliver
        self._wants = _remembered(wants)
        self._reader = reader
        self._graves = graves
        self._max_tries = max_tries
        self._clock = clock
        self._log = log
        self._again: deque[Dead] = deque()
        self._closed = asyncio.Event()
        self.dropped = 0
        self.reason = ""

    def __len__(self) -> int:
        return self._reader.waiting

    async def run(self) -> None:
        """Hand over what is there and what comes, until cancelled."""
        while True:
            while self._again:
                await self._retry(self._again.popleft())
            events, reached = await self._reader.next(self._wants, LIST)
            self.dropped += sum(event.data.count for event in events if event.event_type == "core.gap")
            await self._hand_over(events)
            self._reader.advance(reached)
            # A plugin that never waits must not hold the loop while it catches up.
            await asyncio.sleep(0)

    async def _hand_over(self, events: list[NormalizedEvent]) -> None:
        tries, alone = 0, False
        while events:
            part = events[:1] if alone else events
            failure = await self._deliver(part)
            handled = len(part) if failure is None else failure.handled
            if handled:
                tries = 0
                events = events[handled:]
                self._reader.advance(part[handled - 1].seq)
            if failure is None:
                self.reason = ""
                continue
            alone = True
            if failure.retry:
                await self._wait(failure.retry, failure.reason)
                continue
            tries += 1
            if tries < self._max_tries:
                first, most = BACK_OFF
                await self._wait(min(first * 2 ** (tries - 1), most), f"event {events[0].seq}: {failure.reason}")
                continue
            self._bury(events[0], failure, tries)
            tries = 0
            events = events[1:]

    async def _wait(self, seconds: float, reason: str) -> None:
        if not self.reason:
            self._log.warning("lane.waits", reason=reason, again_in=seconds)
        self.reason = reason
        await asyncio.sleep(seconds)

    def _bury(self, event: NormalizedEvent, failure: Failure, tries: int) -> None:
        error = failure.reason.encode("utf-8", "replace").decode()
        self._log.error("lane.dead_letter", seq=event.seq, event_type=event.event_type, tries=tries, reason=error)
        self.dropped += 1
        self.reason = ""
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
        self._again.append(dead)
        self._reader.wake()

    async def _retry(self, dead: Dead) -> None:
        failure = await self._deliver([decode(dead.body)])
        if failure is None:
            self._graves.raise_up(self._plugin, self._channel, dead.seq)
            self._log.info("lane.risen", seq=dead.seq)
        else:
            error = failure.reason.encode("utf-8", "replace").decode()
            self._log.warning("lane.dead_letter", seq=dead.seq, event_type=dead.kind, reason=error)
            self._graves.bury(dead._replace(tries=dead.tries + 1, error=error, when=self._clock()))

    def close(self) -> None:
        """Nobody will take more; what was not handled stays in the log."""
        self._closed.set()

    async def drained(self) -> None:
        """Wait until everything that is in the log has been handled, or the lane is closed."""
        waits = [asyncio.ensure_future(self._reader.caught_up()), asyncio.ensure_future(self._closed.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _remembered(wants: Callable[[str], bool]) -> Callable[[str], bool]:
    """Its answers do not change, and are asked for each event."""
    known: dict[str, bool] = {}

    def asked(event_type: str) -> bool:
        answer = known.get(event_type)
        if answer is None:
            answer = known[event_type] = wants(event_type)
        return answer

    return asked
