"""Reading the event log: the newest events from memory, older ones from the engine, in order, each once.

A reader belongs to one plugin in one channel and owns its position. What it has read counts as handled when
`advance` says so, and comes again after a restart otherwise.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.clock import WallClock
from rosey_core.envelope import NormalizedEvent, decode, gap_event
from rosey_core.errors import EventLogError
from rosey_core.eventlog.engine import Lost, Row
from rosey_core.events import CoreGap

IN_MEMORY = 4_096
"""Events of a channel that stay in memory, at most."""
AGAIN = 1.0
"""Seconds after which what could not be read is tried again."""


class Tail:
    """The newest committed events of a channel.

    Args:
        head: the last `seq` that was committed before.

    Attributes:
        after: every committed event behind this `seq` is here.
        head: the last committed `seq`.
    """

    def __init__(self, head: int) -> None:
        self.after = head
        self.head = head
        self._events: list[NormalizedEvent] = []

    def append(self, event: NormalizedEvent) -> None:
        """One more is committed."""
        self._events.append(event)
        self.head = event.seq
        if len(self._events) > IN_MEMORY:
            half = IN_MEMORY // 2
            self.after = self._events[half - 1].seq
            del self._events[:half]

    def forget(self) -> None:
        """Keep nothing in memory: who reads on reads what is on disk."""
        self._events.clear()
        self.after = self.head

    def since(self, seq: int, limit: int) -> Sequence[NormalizedEvent]:
        """The next events behind `seq`, which is not before `after`."""
        start = bisect_right(self._events, seq, key=_seq)
        return self._events[start : start + limit]

    def count(self, seq: int) -> int:
        """How many are behind `seq`; what is not in memory is counted by its numbers, so at most."""
        return len(self._events) - bisect_right(self._events, seq, key=_seq) + max(0, self.after - seq)


def _seq(event: NormalizedEvent) -> int:
    return event.seq


class Reader:
    """One plugin's way through one channel.

    Args:
        channel: which.
        position: everything up to this `seq` is handled.
        tail: the newest events.
        read: reads older ones: channel, after, limit.
        moved: is told each new position.
        clock: tells the time.
        log: for what goes wrong.

    Attributes:
        position: everything up to this `seq` is handled.
        lost: what it has to be told that it will not get.
        fault: why nothing can be read now.
        new: the plugin was never here before, and begins now.
        prelude: what it is told first, before anything that is kept.
    """

    def __init__(
        self,
        channel: str,
        position: int,
        *,
        tail: Tail,
        read: Callable[[str, int, int], Awaitable[Sequence[Row]]],
        moved: Callable[[int], None],
        clock: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self.position = position
        self.lost: Lost | None = None
        self.fault = ""
        self.new = False
        self.prelude: list[NormalizedEvent] = []
        self._telling: Lost | None = None
        self._channel = channel
        self._tail = tail
        self._read = read
        self._moved = moved
        self._clock = clock
        self._log = log
        self._wake = asyncio.Event()
        self._moves = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many events it has not handled, at most."""
        return self._tail.count(self.position)

    @property
    def idle(self) -> bool:
        """Whether it has handled all there is."""
        return self.position >= self._tail.head

    def wake(self) -> None:
        """There may be more."""
        self._wake.set()

    def losing(self, lost: Lost) -> None:
        """What it has not handled was trimmed."""
        self.lost = lost if self.lost is None else self.lost.and_then(lost)
        self._wake.set()

    async def next(self, wants: Callable[[str], bool], limit: int) -> tuple[list[NormalizedEvent], int]:
        """The next events that are wanted, 1 to `limit`, and the position that is reached with them.

        Waits until there are some; returns without any when it is woken and there is nothing.
        """
        if self.prelude:
            events, self.prelude = self.prelude, []
            return [event for event in events if wants(event.event_type)], self.position
        if (lost := self.lost) is not None:
            self._telling = lost
            gap = CoreGap(lost.number, lost.first, lost.last, where="log", certain=False)
            return [gap_event(self._channel, gap, self._clock())], max(lost.last, self.position)
        events, reached = await self._some(wants, limit)
        if reached == self.position:
            self._wake.clear()
            await self._wake.wait()
            if self.lost is None:
                events, reached = await self._some(wants, limit)
        return events, reached

    async def _some(self, wants: Callable[[str], bool], limit: int) -> tuple[list[NormalizedEvent], int]:
        """What there is behind the position, without waiting for more."""
        position = self.position
        while True:
            if position >= self._tail.after:
                some = self._tail.since(position, limit)
                if not some:
                    return [], position
                position = some[-1].seq
                events = [event for event in some if wants(event.event_type)]
            else:
                try:
                    rows = await self._read(self._channel, position, limit)
                except EventLogError as error:
                    self.fault = str(error)
                    await asyncio.sleep(AGAIN)
                    continue
                self.fault = ""
                position = rows[-1].seq if rows else self._tail.after
                events = [event for row in rows if wants(row.kind) and (event := self._decoded(row))]
            if events:
                return events, position

    def _decoded(self, row: Row) -> NormalizedEvent | None:
        try:
            return decode(row.body)
        except msgspec.MsgspecError as error:
            self._log.error("eventlog.unreadable", channel=row.channel, seq=row.seq, reason=str(error))
            return None

    def advance(self, seq: int) -> None:
        """Everything up to `seq` is handled."""
        if (told := self._telling) is not None and seq >= told.last and self.lost is not None:
            self._telling = None
            more = self.lost.number - told.number  # was trimmed while the plugin heard of the rest
            self.lost = self.lost._replace(number=more, first=told.last + 1) if more else None
        if seq > self.position:
            self.position = seq
            self._moved(seq)
            self._moves.set()

    async def caught_up(self) -> None:
        """Wait until all that is there has been handled."""
        while not self.idle:
            self._moves.clear()
            await self._moves.wait()
