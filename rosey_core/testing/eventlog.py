"""An event log in memory, for tests of what stands on one; it keeps the engine's contract and nothing on disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import structlog

from rosey_core.clock import WallClock
from rosey_core.config import EventLogConfig
from rosey_core.errors import EventLogError
from rosey_core.eventlog.engine import Batch, Cursor, Dead, Lost, Newest, Opened, Row
from rosey_core.eventlog.log import EventLog


class MemoryLog:
    """An engine of Python lists.

    Attributes:
        fault: while it is set, every write raises `EventLogError` with it.
    """

    def __init__(self) -> None:
        self.fault = ""
        self._rows: dict[str, dict[int, Row]] = {}
        self._cursors: dict[tuple[str, str], int] = {}
        self._lost: dict[tuple[str, str], Lost] = {}
        self._newest: dict[str, Newest] = {}
        self._dead: dict[tuple[str, str, int], Dead] = {}
        self._claims: dict[bytes, float] = {}

    async def open(self) -> Opened:
        """Begin, with all that is there."""
        heads = {channel: max(rows) for channel, rows in self._rows.items() if rows}
        cursors = [Cursor(*key, seq) for key, seq in self._cursors.items()]
        return Opened(heads, cursors, list(self._lost.values()), list(self._newest.values()))

    async def commit(self, batch: Batch) -> list[bool]:
        """Keep all of it."""
        self._check()
        for row in batch.rows:
            self._rows.setdefault(row.channel, {})[row.seq] = row
        for cursor in batch.cursors:
            key = cursor.plugin, cursor.channel
            self._cursors[key] = cursor.seq
            if key in self._lost and cursor.seq >= self._lost[key].last:
                del self._lost[key]
        self._newest |= {one.channel: one for one in batch.newest}
        self._dead |= {(one.plugin, one.channel, one.seq): one for one in batch.dead}
        for name in batch.risen:
            self._dead.pop(name, None)
        firsts = []
        for key_, when in batch.claims:
            firsts.append(key_ not in self._claims)
            self._claims.setdefault(key_, when)
        return firsts

    async def read(self, channel: str, after: int, limit: int) -> Sequence[Row]:
        """The next rows."""
        rows = self._rows.get(channel, {})
        return [rows[seq] for seq in sorted(seq for seq in rows if seq > after)[:limit]]

    async def trim(self, before: float, most: int) -> list[Lost]:
        """Drop what is old or too much, row by row."""
        self._check()
        self._claims = {key: when for key, when in self._claims.items() if when >= before}
        self._dead = {key: one for key, one in self._dead.items() if one.when >= before}
        lost: dict[tuple[str, str], Lost] = {}
        while (row := self._oldest()) is not None and (row.written < before or await self.size() > most):
            del self._rows[row.channel][row.seq]
            for (plugin, channel), seq in self._cursors.items():
                if channel == row.channel and seq < row.seq:
                    one = Lost(plugin, channel, 1, seq + 1, row.seq)
                    for known in (lost, self._lost):
                        known[plugin, channel] = (
                            known[plugin, channel].and_then(one) if (plugin, channel) in known else one
                        )
        return list(lost.values())

    def _oldest(self) -> Row | None:
        firsts = [rows[min(rows)] for rows in self._rows.values() if rows]
        return min(firsts, key=lambda row: row.written, default=None)

    async def retain(self, plugins: Collection[str]) -> None:
        """Forget all plugins but these."""
        self._check()
        self._cursors = {key: seq for key, seq in self._cursors.items() if key[0] in plugins}
        self._lost = {key: one for key, one in self._lost.items() if key[0] in plugins}
        self._dead = {key: one for key, one in self._dead.items() if key[0] in plugins}

    async def dead(self, plugin: str) -> list[Dead]:
        """A plugin's dead letters."""
        return [self._dead[key] for key in sorted(self._dead) if key[0] == plugin]

    async def about(self, user: str, each: Callable[[Row], None]) -> None:
        """Show what names a user."""
        wanted = user.lower()
        rows = [row for rows in self._rows.values() for row in rows.values()]
        rows += [Row(one.channel, one.seq, one.kind, "", one.when, one.body) for one in self._dead.values()]
        for row in rows:
            if wanted in row.body.decode().lower():
                each(row)

    async def rewrite(self, rows: Sequence[Row], gone: Sequence[tuple[str, int]]) -> None:
        """Change and delete rows, and dead letters of the same events."""
        self._check()
        for row in rows:
            if row.seq in self._rows.get(row.channel, {}):
                self._rows[row.channel][row.seq] = row
        for channel, seq in gone:
            self._rows.get(channel, {}).pop(seq, None)
        bodies = {(row.channel, row.seq): row.body for row in rows}
        self._dead = {
            key: one._replace(body=bodies.get(key[1:], one.body))
            for key, one in self._dead.items()
            if key[1:] not in gone
        }

    async def size(self) -> int:
        """Bytes of all bodies."""
        return sum(len(row.body) for rows in self._rows.values() for row in rows.values())

    async def close(self) -> None:
        """Nothing ends here: it may be opened again."""

    def _check(self) -> None:
        if self.fault:
            raise EventLogError(self.fault)


def memory_log(clock: WallClock, engine: MemoryLog | None = None) -> EventLog:
    """An event log in memory that is not opened yet."""
    config = EventLogConfig(private_messages=True)
    return EventLog(engine or MemoryLog(), config, clock=clock, log=structlog.get_logger())
