"""The engine that rosey brings along: one SQLite file, one thread that writes, one that reads.

Plain `sqlite3` and not aiosqlite: a commit is one hop to its thread, whatever is in it, and not one a statement.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from rosey_core.errors import ConfigError, EventLogError
from rosey_core.eventlog.engine import Batch, Cursor, Dead, Lost, Newest, Opened, Row

VERSION = 1
CHUNK = 200
"""Rows that are trimmed or looked at in one go: short enough for a commit to wait behind."""
BUSY = 5.0
"""Seconds that a commit waits for somebody else who has the file, such as a backup."""

SCHEMA = """
CREATE TABLE events (
    channel TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, user TEXT NOT NULL, written REAL NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (channel, seq)
) WITHOUT ROWID;
CREATE TABLE cursors (
    plugin TEXT NOT NULL, channel TEXT NOT NULL, seq INTEGER NOT NULL,
    lost INTEGER NOT NULL DEFAULT 0, lost_first INTEGER NOT NULL DEFAULT 0, lost_last INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (plugin, channel)
) WITHOUT ROWID;
CREATE TABLE newest (channel TEXT PRIMARY KEY, time_ms INTEGER NOT NULL, ids TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE dead (
    plugin TEXT NOT NULL, channel TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, tries INTEGER NOT NULL,
    error TEXT NOT NULL, "when" REAL NOT NULL, body BLOB NOT NULL, PRIMARY KEY (plugin, channel, seq)
) WITHOUT ROWID;
CREATE TABLE claims (id BLOB PRIMARY KEY, "when" REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE opened (clean INTEGER NOT NULL);
INSERT INTO opened VALUES (1);
"""

HEADS = """
WITH RECURSIVE channels (name) AS (
    SELECT min(channel) FROM events
    UNION ALL SELECT (SELECT min(channel) FROM events WHERE channel > name) FROM channels WHERE name IS NOT NULL
) SELECT name, (SELECT max(seq) FROM events WHERE channel = name) FROM channels WHERE name IS NOT NULL
"""
"""The last `seq` of each channel, in a few steps: GROUP BY would read every row."""

_T = TypeVar("_T")
_ids = msgspec.json.Decoder(tuple[str, ...])


class SqliteLog:
    """The log in a file.

    Args:
        path: the file; made if missing, in a directory that is made, too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = ThreadPoolExecutor(1, "rosey-eventlog")
        self._reading = ThreadPoolExecutor(1, "rosey-eventlog-read")
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None

    async def open(self) -> Opened:
        """Begin; a file that is damaged is put aside, and never written to."""
        return await self._written(lambda _: self._opened(), begin=True)

    async def commit(self, batch: Batch) -> list[bool]:
        """Write all of it or nothing; for each claim, whether it is the first of its id."""
        return await self._written(lambda file: _commit(file, batch))

    async def read(self, channel: str, after: int, limit: int) -> Sequence[Row]:
        """The next rows behind `after`, at most `limit`, in order."""
        found: list[Row] = await self._looked(
            "SELECT * FROM events WHERE channel = ? AND seq > ? ORDER BY seq LIMIT ?", (channel, after, limit), Row
        )
        return found

    async def trim(self, before: float, most: int) -> list[Lost]:
        """Drop what is old, and the oldest of what is too much."""
        lost: dict[tuple[str, str], Lost] = {}
        more = True
        while more:
            found, more = await self._written(lambda file: _trim(file, before, most))
            for one in found:
                key = one.plugin, one.channel
                lost[key] = lost[key].and_then(one) if key in lost else one
        return list(lost.values())

    async def retain(self, plugins: Collection[str]) -> None:
        """Forget cursors and dead letters of all plugins but these."""
        await self._written(lambda file: _retain(file, plugins))

    async def dead(self, plugin: str) -> list[Dead]:
        """The dead letters of a plugin, oldest first."""
        found: list[Dead] = await self._looked(
            "SELECT * FROM dead WHERE plugin = ? ORDER BY channel, seq", (plugin,), Dead
        )
        return found

    async def about(self, user: str, each: Callable[[Row], None]) -> None:
        """Show every row, and dead letter, in whose JSON a name stands, in any capitals."""
        wanted = user.lower()
        for channel, _ in await self._looked(HEADS, (), _pair):
            behind = 0
            while rows := await self.read(channel, behind, CHUNK):
                behind = rows[-1].seq
                for row in rows:
                    if wanted in row.body.decode().lower():
                        each(row)
        # An event may be trimmed and still be a dead letter.
        for row in await self._looked("SELECT channel, seq, kind, '', \"when\", body FROM dead", (), Row):
            if wanted in row.body.decode().lower():
                each(row)

    async def rewrite(self, rows: Sequence[Row], gone: Sequence[tuple[str, int]]) -> None:
        """Put other bodies in the place of rows, and delete others. No byte of them stays."""
        await self._written(lambda file: _rewrite(file, rows, gone))
        # A page whose rows moved to another keeps a copy in its unused middle, so the file is written anew.
        for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
            await self._written(lambda file, sql=statement: file.execute(sql).fetchall(), alone=True)  # type: ignore[misc]

    async def size(self) -> int:
        """Bytes in use."""
        return await self._written(_size)

    async def close(self) -> None:
        """End; what was committed stays."""

        def end(file: sqlite3.Connection) -> None:
            file.execute("UPDATE opened SET clean = 1")

        if self._writer is not None:
            with contextlib.suppress(EventLogError):
                await self._written(end)
        await asyncio.get_running_loop().run_in_executor(self._reading, self._closed, "_reader")
        await asyncio.get_running_loop().run_in_executor(self._writing, self._closed, "_writer")
        self._reading.shutdown(wait=False)
        self._writing.shutdown(wait=False)

    # --- in the threads ---

    async def _looked(self, sql: str, values: Sequence[object], make: Callable[..., _T]) -> list[_T]:
        """Rows from the reader."""

        def look() -> list[_T]:
            try:
                if self._reader is None:
                    self._reader = self._connected()
                return [make(*row) for row in self._reader.execute(sql, values)]
            except sqlite3.Error as error:
                raise EventLogError(f"{self._path} can't be read: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._reading, look)

    async def _written(
        self, work: Callable[[sqlite3.Connection], _T], *, begin: bool = False, alone: bool = False
    ) -> _T:
        """What `work` returns, in one transaction, or `alone` in none; after `begin` there is a connection."""

        def write() -> _T:
            try:
                if begin:
                    return work(None)  # type: ignore[arg-type]  # it makes the connection
                if self._writer is None:
                    raise EventLogError(f"{self._path} is not open")
                if alone:
                    return work(self._writer)
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    result = work(self._writer)
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
                raise EventLogError(f"{self._path} can't be written: {error}") from error
            else:
                return result

        return await asyncio.get_running_loop().run_in_executor(self._writing, write)

    def _closed(self, which: str) -> None:
        file: sqlite3.Connection | None = getattr(self, which)
        if file is not None:
            with contextlib.suppress(sqlite3.Error):
                file.close()
            setattr(self, which, None)

    def _connected(self) -> sqlite3.Connection:
        file = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        # secure_delete: who is forgotten is not to be found in free pages.
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON"):
            file.execute(f"PRAGMA {pragma}").fetchall()
        return file

    def _opened(self) -> Opened:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        trouble = self._put_aside() if self._path.exists() else ""
        file = self._writer = self._connected()
        (version,) = file.execute("PRAGMA user_version").fetchone()
        if version == 0:
            file.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")
        file.execute("UPDATE opened SET clean = 0")
        return Opened(
            dict(file.execute(HEADS)),
            [Cursor(*row) for row in file.execute("SELECT plugin, channel, seq FROM cursors")],
            [
                Lost(*row)
                for row in file.execute(
                    "SELECT plugin, channel, lost, lost_first, lost_last FROM cursors WHERE lost > 0"
                )
            ],
            [Newest(channel, ms, _ids.decode(ids)) for channel, ms, ids in file.execute("SELECT * FROM newest")],
            trouble,
        )

    def _put_aside(self) -> str:
        """Rename a damaged file; what is wrong with it, or empty."""
        fault = self._fault()
        if not fault:
            return ""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        aside = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + end).rename(aside.with_name(aside.name + end))
        return f"{self._path} is damaged ({fault}) and was put aside as {aside.name}; a new one begins"

    def _fault(self) -> str:
        """What is wrong with the file. It is only read, and read whole only if its last user did not close it."""
        # Not `mode=ro`: a log that was killed has to be replayed, and that writes; nolock would not see who has it.
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=BUSY, isolation_level=None)) as file:
                (version,) = file.execute("PRAGMA user_version").fetchone()
                if version > VERSION:
                    raise ConfigError(
                        f"{self._path} was written by a newer rosey (its format is {version}, and this one knows "
                        f"{VERSION}). Run that one, or move the file away: what plugins had not read is lost then."
                    )
                if version == 0:
                    return ""
                (clean,) = file.execute("SELECT clean FROM opened").fetchone()
                if clean:
                    return ""
                (said,) = file.execute("PRAGMA quick_check(1)").fetchone()
                return "" if said == "ok" else str(said)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # busy, full or forbidden is not damaged
                raise
            return str(error)


def _pair(channel: str, seq: int) -> tuple[str, int]:
    return channel, seq


def _commit(file: sqlite3.Connection, batch: Batch) -> list[bool]:
    if batch.rows:
        file.executemany("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?)", batch.rows)
    if batch.cursors:
        file.executemany(
            """INSERT INTO cursors (plugin, channel, seq) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET
            seq = excluded.seq, lost = iif(excluded.seq >= lost_last, 0, lost)""",
            batch.cursors,
        )
    if batch.newest:
        file.executemany(
            "INSERT OR REPLACE INTO newest VALUES (?, ?, ?)",
            [(channel, ms, msgspec.json.encode(ids).decode()) for channel, ms, ids in batch.newest],
        )
    if batch.dead:
        file.executemany("INSERT OR REPLACE INTO dead VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch.dead)
    if batch.risen:
        file.executemany("DELETE FROM dead WHERE plugin = ? AND channel = ? AND seq = ?", batch.risen)
    return [file.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", claim).rowcount == 1 for claim in batch.claims]


def _trim(file: sqlite3.Connection, before: float, most: int) -> tuple[list[Lost], bool]:
    """Drop one chunk of one channel; what plugins lose by it, and whether there may be more to drop."""
    file.execute('DELETE FROM claims WHERE "when" < ?', (before,))
    channels = [channel for channel, _ in file.execute(HEADS).fetchall()]
    # The first row of each channel is its oldest, so nothing is searched.
    oldest = sorted(
        (written, channel)
        for channel in channels
        for (written,) in file.execute(
            "SELECT written FROM events WHERE channel = ? ORDER BY seq LIMIT 1", (channel,)
        )
    )
    if not oldest:
        return [], False
    written, channel = oldest[0]
    over = _size(file) > most
    if written >= before and not over:
        return [], False
    rows = file.execute(
        "SELECT seq, written FROM events WHERE channel = ? ORDER BY seq LIMIT ?", (channel, CHUNK)
    ).fetchall()
    last = max((seq for seq, when in rows if over or when < before), default=rows[0][0])
    lost = []
    behind = file.execute(
        "SELECT plugin, seq, lost, lost_first FROM cursors WHERE channel = ? AND seq < ?", (channel, last)
    )
    for plugin, seq, known, first in behind.fetchall():
        (count,) = file.execute(
            "SELECT count(*) FROM events WHERE channel = ? AND seq > ? AND seq <= ?", (channel, seq, last)
        ).fetchone()
        if count:
            one = Lost(plugin, channel, known + count, first if known else seq + 1, last)
            lost.append(one._replace(number=count))
            file.execute(
                "UPDATE cursors SET lost = ?, lost_first = ?, lost_last = ? WHERE plugin = ? AND channel = ?",
                (one.number, one.first, one.last, plugin, channel),
            )
    file.execute("DELETE FROM events WHERE channel = ? AND seq <= ?", (channel, last))
    return lost, True


def _retain(file: sqlite3.Connection, plugins: Collection[str]) -> None:
    for table in ("cursors", "dead"):
        known = [name for (name,) in file.execute(f"SELECT DISTINCT plugin FROM {table}")]  # noqa: S608  of two
        file.executemany(
            f"DELETE FROM {table} WHERE plugin = ?",  # noqa: S608  the same two
            [(name,) for name in known if name not in plugins],
        )


def _rewrite(file: sqlite3.Connection, rows: Sequence[Row], gone: Sequence[tuple[str, int]]) -> None:
    changed = [(row.user, row.body, row.channel, row.seq) for row in rows]
    file.executemany("UPDATE events SET user = ?, body = ? WHERE channel = ? AND seq = ?", changed)
    file.executemany(
        "UPDATE dead SET body = ? WHERE channel = ? AND seq = ?", [(body, *key) for _, body, *key in changed]
    )
    file.executemany("DELETE FROM events WHERE channel = ? AND seq = ?", gone)
    file.executemany("DELETE FROM dead WHERE channel = ? AND seq = ?", gone)


def _size(file: sqlite3.Connection) -> int:
    (pages,), (free,), (page,) = (
        file.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page)
