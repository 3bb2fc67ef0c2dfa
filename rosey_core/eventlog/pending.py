"""What is not on disk yet, bounded: the oldest events go before it takes too much, and a gap tells of them."""

from __future__ import annotations

import asyncio

import msgspec

from rosey_core.envelope import NormalizedEvent, encode, gap_event
from rosey_core.eventlog.engine import Batch, Cursor, Dead, Newest, Row
from rosey_core.events import CoreGap

MOST = 50_000
"""Events that may wait for a disk; then the oldest go."""
MOST_BYTES = 64 << 20


class Pending(msgspec.Struct):
    """What waits for the next commit.

    Attributes:
        rows: events, with what is written of them.
        size: bytes of their bodies.
        cursors: new positions, by plugin and channel.
        dead: dead letters, and `risen`, those that are none any more.
        claims: ids of actions, each with its time and who waits for it.
        gaps: what had to go, by channel.
    """

    rows: list[tuple[Row, NormalizedEvent]] = []
    size: int = 0
    cursors: dict[tuple[str, str], int] = {}
    dead: list[Dead] = []
    risen: list[tuple[str, str, int]] = []
    claims: list[tuple[bytes, float, asyncio.Future[bool]]] = []
    gaps: dict[str, CoreGap] = {}

    def __bool__(self) -> bool:
        return any(getattr(self, field) for field in self.__struct_fields__)

    def add(self, row: Row, event: NormalizedEvent) -> int:
        """One more event; how many had to go for it."""
        self.rows.append((row, event))
        self.size += len(row.body)
        gone = 0
        while len(self.rows) > MOST or self.size > MOST_BYTES:
            gone += self._drop()
        return gone

    def _drop(self) -> int:
        row, event = self.rows.pop(0)
        self.size -= len(row.body)
        more = CoreGap(1, event.seq, event.seq)
        if type(event.data) is CoreGap and event.data.where == "log":
            more = event.data  # it stands for others
        gap = self.gaps.get(event.channel, more)
        number = more.count + (gap.count if gap is not more else 0)
        first, last = min(gap.first, more.first), max(gap.last, more.last)
        self.gaps[event.channel] = CoreGap(number, first, last, where="log")
        return int(more is not event.data)

    def batch(self, now: float, newest: list[Newest]) -> Batch:
        """All of it, as an engine writes it; an event stands in the place of those that had to go."""
        for channel, gap in self.gaps.items():
            event = gap_event(channel, gap, now)
            self.rows.append((Row(channel, gap.last, event.event_type, "", now, encode(event)), event))
        if self.gaps:
            self.rows.sort(key=lambda each: each[0].seq)
            self.gaps = {}
        return Batch(
            [row for row, _ in self.rows],
            [Cursor(*key, seq) for key, seq in self.cursors.items()],
            newest,
            self.dead,
            self.risen,
            [(key, when) for key, when, _ in self.claims],
        )

    def and_then(self, later: Pending) -> Pending:
        """Both together, where the first could not be written; who waited for a claim does so no more."""
        return Pending(
            self.rows + later.rows,
            self.size + later.size,
            self.cursors | later.cursors,
            self.dead + later.dead,
            self.risen + later.risen,
            later.claims,
            self.gaps | later.gaps,
        )
