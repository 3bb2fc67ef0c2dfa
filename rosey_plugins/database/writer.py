"""The one writer: every list of events that waits goes into one transaction, and into nothing twice.

Chat is unique by its id, other rows by channel, time and number; what counts, counts rows that were really added.
Two copies on one file do no harm: all that is compared is in the file, inside one immediate transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite
import msgspec

from rosey_core.api import NormalizedEvent, NotReady
from rosey_plugins.database.opening import WRITING, busy, unwritable, uri
from rosey_plugins.database.presence import Ended, Presence, Started
from rosey_plugins.database.rows import INSERTS, PEAK, SEEN, Rows
from rosey_plugins.database.shapes import CHANGED, UserStats, user_stats

PATIENCE = 4.0
"""Seconds that a list waits for its commit; a hook has five."""
DAMAGED = 60.0


class _List(NamedTuple):
    """Events of one channel that wait, and who waits for them."""

    channel: str
    events: Sequence[NormalizedEvent]
    private: bool
    done: asyncio.Future[None]


class _Known(msgspec.Struct):
    """What is remembered of a channel between two commits."""

    id: int
    presence: Presence


Changed = Callable[[str, list[UserStats]], None]
"""Is told, after a commit, the users of a channel whose numbers changed."""

_SAVED = tuple(name for name in Presence.__struct_fields__ if name != "present")


class Writer:
    """Writes events.

    Args:
        path: the file.
        connection: the only one of this process that writes.
        changed: is told whose numbers changed.

    Attributes:
        lock: whoever uses the connection holds it, for one transaction.
        damaged: why nothing is written any more; empty while the file is whole.
        rewrites: the file is written anew just now.
    """

    def __init__(self, path: Path, connection: aiosqlite.Connection, changed: Changed) -> None:
        self._path = path
        self.connection = connection
        self.lock = asyncio.Lock()
        self.damaged = ""
        self.rewrites = False
        self._changed = changed
        self._waiting: list[_List] = []
        self._wake = asyncio.Event()
        self._known: dict[str, _Known] = {}
        self._closed = False

    @classmethod
    async def open(cls, path: Path, changed: Changed) -> Writer:
        """Open a file that is there and has its tables."""
        connection = await aiosqlite.connect(uri(path, "rw"), uri=True, isolation_level=None)
        for pragma in WRITING:
            await connection.execute(pragma)
        return cls(path, connection, changed)

    async def write(self, channel: str, events: Sequence[NormalizedEvent], *, private: bool) -> None:
        """Write a list; returns when it is on the disk.

        Raises:
            NotReady: it can't be written now, which is not the events' fault.
        """
        if self.damaged:
            raise NotReady(self.damaged, retry=DAMAGED)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_List(channel, events, private, done))
        self._wake.set()
        finished, _ = await asyncio.wait((done,), timeout=PATIENCE)
        if not finished:  # it may still be written: then the next time adds nothing
            done.add_done_callback(lambda future: future.cancelled() or future.exception())
            raise NotReady("the disk takes long to write", retry=1)
        await done

    async def run(self) -> None:
        """Write what waits, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            lists, self._waiting = self._waiting, []
            await self._group(lists)

    async def hurry(self) -> None:
        """Cut short what takes long; it is as if it had not begun."""
        if self.rewrites:
            await self.connection.interrupt()

    async def close(self) -> None:
        """Close the file, at the end of what is written just now."""
        async with self.lock:
            self._closed = True
            for waiting in self._waiting:
                if not waiting.done.done():
                    waiting.done.set_exception(NotReady("the database is closed", retry=5))
            await self.connection.close()

    async def _group(self, lists: list[_List]) -> None:
        """Write lists together; if that fails for what is in them, each alone."""
        try:
            stats = await self._commit(lists)
        except Exception as error:
            fault = self._fault(error)
            if fault is None and len(lists) > 1:
                for one in lists:
                    await self._group([one])
                return
            for waiting in lists:
                if not waiting.done.done():
                    waiting.done.set_exception(fault or error)
            return
        for waiting in lists:
            if not waiting.done.done():
                waiting.done.set_result(None)
        for channel, changed in stats.items():
            self._changed(channel, changed)

    def _fault(self, error: Exception) -> NotReady | None:
        """An error as one that is not the events' fault; `None` if it is theirs."""
        if self._closed:
            return NotReady("the database is closed", retry=5)
        if not isinstance(error, sqlite3.Error):
            return None
        if busy(error):
            return NotReady(f"the database can't be written now: {unwritable(self._path) or error}", retry=5)
        if type(error) is sqlite3.DatabaseError:
            self.damaged = f"the database is damaged ({error}): rosey db check says more"
            return NotReady(self.damaged, retry=DAMAGED)
        return None

    def forgotten(self) -> None:
        """What is remembered of the channels may be wrong: somebody changed the tables."""
        self._known.clear()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """The connection, for changes that are made together or not at all."""
        async with self.lock:
            execute = self.connection.execute
            if self.connection.in_transaction:  # whoever was cancelled was cancelled once more below
                await execute("ROLLBACK")
            try:
                await execute("BEGIN IMMEDIATE")
                yield self.connection
                await execute("COMMIT")
            except BaseException:
                self._known.clear()  # what is remembered may have gone further than the file
                await execute(
                    "SELECT 1"
                )  # who is cancelled does not wait for the statement: it goes on, and ends now
                if self.connection.in_transaction:
                    await execute("ROLLBACK")
                raise

    async def _commit(self, lists: list[_List]) -> Mapping[str, list[UserStats]]:
        async with self.transaction():
            return await self._write(lists)

    async def _write(self, lists: list[_List]) -> Mapping[str, list[UserStats]]:
        rows, changes = Rows(), dict[str, list[Started | Ended]]()
        for channel in dict.fromkeys(one.channel for one in lists):
            await self._recall(channel)
        for one in lists:
            known = self._known[one.channel]
            for event in one.events:
                rows.add(known.id, event, private=one.private)
                changes.setdefault(one.channel, []).extend(known.presence.see(event))
        many = self.connection.executemany
        if rows.seen:
            await many(SEEN, rows.users())
        before = await self._last_line() if rows.tables["chat"] else 0
        for table, added in rows.tables.items():
            if added:
                await many(INSERTS[table], added)
        if rows.tables["chat"]:
            await self.connection.execute(_COUNT_LINES, (before,))
        if rows.peaks:
            await many(PEAK, rows.peaks)
        for channel, these in changes.items():
            await self._sessions(self._known[channel], these)
        return await self._stats(before if rows.tables["chat"] else None, changes)

    async def _recall(self, channel: str) -> None:
        """What is known of a channel, read anew where another copy went further."""
        one = await self._one(f"SELECT id, {', '.join(_SAVED)} FROM channels WHERE name = ?", channel)
        if one is None:
            await self.connection.execute("INSERT INTO channels (name) VALUES (?)", (channel,))
            return await self._recall(channel)
        number, *saved = one
        fields = dict(zip(_SAVED, saved, strict=True))
        fields["listing"] = msgspec.json.decode(fields["listing"])
        presence = msgspec.convert(fields, Presence, strict=False)
        known = self._known.get(channel)
        if known is not None and known.id == number:
            presence.present = known.presence.present
            if presence == known.presence:
                return None
        open_ones: Any = await self.connection.execute_fetchall(
            "SELECT key, start_at FROM sessions JOIN users ON users.id = user "
            "WHERE sessions.channel = ? AND end_at IS NULL",
            (number,),
        )
        presence.present = dict(open_ones)
        self._known[channel] = _Known(number, presence)
        return None

    async def _sessions(self, known: _Known, changes: list[Started | Ended]) -> None:
        """What begins and ends, in order, and how far it is reckoned."""
        number, presence = known.id, known.presence
        for kind, run in itertools.groupby(changes, type):
            if kind is Started:
                await self.connection.executemany(_START, [(number, one.key, one.at) for one in run])
                continue
            ended = [one for one in run if isinstance(one, Ended)]
            await self.connection.executemany(_END, [(number, one.key, one.at) for one in ended])
            await self.connection.executemany(_CONNECTED, [(number, e.key, e.at - e.since, e.at) for e in ended])
        saved = msgspec.structs.asdict(presence) | {"listing": msgspec.json.encode(presence.listing).decode()}
        await self.connection.execute(
            f"UPDATE channels SET {', '.join(f'{name} = :{name}' for name in _SAVED)} WHERE id = :id",
            {name: saved[name] for name in _SAVED} | {"id": number},
        )

    async def _stats(
        self, before: int | None, changes: Mapping[str, list[Started | Ended]]
    ) -> dict[str, list[UserStats]]:
        """The numbers of everybody for whom they changed."""
        names = {known.id: channel for channel, known in self._known.items()}
        keys = [[self._known[channel].id, one.key] for channel, these in changes.items() for one in these]
        if before is None and not keys:
            return {}
        last = (1 << 62) if before is None else before
        rows = await self.connection.execute_fetchall(CHANGED, (last, msgspec.json.encode(keys).decode()))
        stats: dict[str, list[UserStats]] = {}
        for number, *columns in rows:
            stats.setdefault(names[number], []).append(user_stats(columns))
        return stats

    async def _last_line(self) -> int:
        row = await self._one("SELECT seq FROM sqlite_sequence WHERE name = 'chat'")
        return row[0] if row else 0

    async def _one(self, sql: str, *values: Any) -> Any:
        rows = list(await self.connection.execute_fetchall(sql, values))
        return rows[0] if rows else None


# NOT INDEXED: else the lines of each user would be walked in their index, and not the few new ones.
_COUNT_LINES = """
UPDATE users SET lines = lines + added.n
FROM (SELECT user, count(*) AS n FROM chat NOT INDEXED WHERE id > ? AND user IS NOT NULL GROUP BY user) AS added
WHERE users.id = added.user"""
_WHO = "(SELECT id FROM users WHERE channel = ?1 AND key = ?2)"
_START = f"INSERT INTO sessions (channel, user, start_at) VALUES (?1, {_WHO}, ?3)"
_END = f"UPDATE sessions SET end_at = ?3 WHERE user = {_WHO} AND end_at IS NULL"
_CONNECTED = """
UPDATE users SET connected = connected + ?3, last_seen = max(coalesce(last_seen, ?4), ?4)
WHERE channel = ?1 AND key = ?2"""
