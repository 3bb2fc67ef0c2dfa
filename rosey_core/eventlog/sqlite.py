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
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from rosey_core.errors import ConfigError, EventLogError
from rosey_core.eventlog import statements
from rosey_core.eventlog.engine import Batch, Cursor, Dead, Lost, Newest, Opened, Row
from rosey_core.eventlog.statements import CHUNK, HEADS, SCHEMA, VERSION

BUSY = 5.0
"""Seconds that a commit waits for somebody else who has the file, such as a backup."""
CLOSE_SECONDS = 1.0
"""How long the end waits for what is done just then."""

_T = TypeVar("_T")
_ids = msgspec.json.Decoder(tuple[str, ...])
FILES = ("", "-wal", "-shm")
"""What the names of SQLite's files end with."""


class _DamagedError(Exception):
    """The file is no log, or not whole."""


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
        self._whole = False
        self._traces = False

    async def open(self) -> Opened:
        """Begin; a file that is damaged is put aside, and never written to."""
        return await self._in_writer(self._opened)

    def commit(self, batch: Batch) -> asyncio.Future[list[bool]]:
        """Write all of it or nothing; for each claim, whether it is the first of its id."""
        return self._written(lambda file: statements.commit(file, batch))

    async def read(self, channel: str, after: int, limit: int) -> Sequence[Row]:
        """The next rows behind `after`, at most `limit`, in order."""
        found: list[Row] = await self._looked(
            "SELECT * FROM events WHERE channel = ? AND seq > ? ORDER BY seq LIMIT ?", (channel, after, limit), Row
        )
        return found

    async def trim(self, before: float, most: int) -> list[Lost]:
        """Drop what is old, and the oldest of what is too much."""
        await self._written(lambda file: statements.tidy(file, before))
        lost: dict[tuple[str, str], Lost] = {}
        more = True
        while more:
            found, more = await self._written(lambda file: statements.trim(file, before, most))
            for one in found:
                key = one.plugin, one.channel
                lost[key] = lost[key].and_then(one) if key in lost else one
        return list(lost.values())

    async def retain(self, plugins: Collection[str]) -> None:
        """Forget cursors and dead letters of all plugins but these."""
        await self._written(lambda file: statements.retain(file, plugins))

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
        self._traces = self._traces or bool(rows or gone)
        if not self._traces:
            return
        await self._written(lambda file: statements.rewrite(file, rows, gone))
        # A page whose rows moved to another keeps a copy in its unused middle, so the file is written anew.
        await self._alone("VACUUM")
        ((busy, *_),) = await self._alone("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise EventLogError(
                f"another program reads {self._path}, so what was deleted may still be in {self._path.name}-wal. End "
                f"that program, and do it again."
            )
        self._traces = False

    async def size(self) -> int:
        """Bytes in use."""
        return await self._written(statements.size)

    async def close(self) -> None:
        """End; what was committed stays. What is done just then is broken off, and waited for a second at most."""
        marking = self._written(_mark_clean) if self._whole else self._in_writer(lambda: None)
        await asyncio.wait((marking,), timeout=CLOSE_SECONDS)
        if not marking.done() and self._writer is not None:
            self._writer.interrupt()  # and not else: it would keep the last checkpoint from being made
        marking.add_done_callback(lambda future: future.cancelled() or future.exception())
        ends = [self._reading.submit(self._closed, "_reader"), self._writing.submit(self._closed, "_writer")]
        await asyncio.wait([asyncio.wrap_future(end) for end in ends], timeout=CLOSE_SECONDS)
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
                self._noticed(error)
                raise EventLogError(f"{self._path} can't be read: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._reading, look)

    def _in_writer(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        """What `work` returns, from the writer's thread; what goes wrong there is an `EventLogError`."""

        def write() -> _T:
            try:
                return work()
            except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
                self._noticed(error)
                raise EventLogError(f"{self._path} can't be written: {error}{self._hint(error)}") from error

        return asyncio.get_running_loop().run_in_executor(self._writing, write)

    def _hint(self, error: Exception) -> str:
        """What to look at, where SQLite's own words do not say it."""
        name = self._path.name
        hints = {
            "unable to open": f"; {name} has to be a file, in a directory that this user may write",
            "readonly": f"; {name}, {name}-wal and {name}-shm have to be this user's, who may write them",
        }
        return next((hint for words, hint in hints.items() if words in str(error)), "")

    def _noticed(self, error: Exception) -> None:
        if _is_damage(error):
            self._whole = False  # the next start looks closer

    def _written(self, work: Callable[[sqlite3.Connection], _T]) -> asyncio.Future[_T]:
        """What `work` returns, in one transaction."""
        return self._in_writer(partial(self._in_transaction, work))

    def _in_transaction(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        file = self._file()
        file.execute("BEGIN IMMEDIATE")
        try:
            result = work(file)
            file.execute("COMMIT")
        except BaseException:
            if file.in_transaction:
                file.execute("ROLLBACK")
            raise
        return result

    def _alone(self, sql: str) -> asyncio.Future[list[tuple[int, ...]]]:
        """The rows of a statement that can be in no transaction."""
        return self._in_writer(lambda: self._file().execute(sql).fetchall())

    def _file(self) -> sqlite3.Connection:
        if self._writer is None:
            raise EventLogError(f"{self._path} is not open")
        return self._writer

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

    # --- opening ---

    def _opened(self) -> Opened:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        trouble = ""
        try:
            if self._path.exists():
                self._examine()
            opened = self._begun()
        except (_DamagedError, sqlite3.DatabaseError) as error:
            if not _is_damage(error):
                raise
            trouble = self._put_aside(str(error))
            opened = self._begun()
        self._whole = True
        opened.trouble = trouble
        return opened

    def _begun(self) -> Opened:
        file = self._writer = self._connected()
        (version,) = file.execute("PRAGMA user_version").fetchone()
        if version == 0:
            file.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")
        lost = file.execute("SELECT plugin, channel, lost, lost_first, lost_last FROM cursors WHERE lost > 0")
        newest = file.execute("SELECT channel, time_ms, ids FROM newest")
        opened = Opened(
            dict(file.execute(HEADS)),
            [Cursor(*row) for row in file.execute("SELECT plugin, channel, seq FROM cursors")],
            [Lost(*row) for row in lost],
            [Newest(channel, ms, _ids.decode(ids)) for channel, ms, ids in newest],
        )
        file.execute("UPDATE opened SET clean = 0")  # the first that is written
        return opened

    def _put_aside(self, fault: str) -> str:
        """Rename a damaged file; what became of it."""
        self._closed("_writer")
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        aside = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        for end in FILES:
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + end).rename(aside.with_name(aside.name + end))
        return f"{self._path} is damaged ({fault}) and was put aside as {aside.name}; a new one begins"

    def _examine(self) -> None:
        """Look whether the file is whole; all of it only if its last user did not close it. It is only read."""
        # Not `mode=ro`: a log that was killed has to be replayed, and that writes; nolock would not see who has it.
        with contextlib.closing(sqlite3.connect(self._path, timeout=BUSY, isolation_level=None)) as file:
            (version,) = file.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise ConfigError(
                    f"{self._path} was written by a newer rosey (its format is {version}, and this one knows "
                    f"{VERSION}). Run that one, or move the file away: what plugins had not read is lost then."
                )
            tables = file.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if version == 0 and tables:
                raise _DamagedError("it has tables of somebody else's")
            if version == 0:
                return
            clean = file.execute("SELECT clean FROM opened").fetchone()
            if clean is None:
                raise _DamagedError("it lacks a row")
            if not clean[0] and (said := file.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise _DamagedError(" ".join(str(said).split()))


def _is_damage(error: Exception) -> bool:
    """Whether the file is broken, and not only busy, full or forbidden; a missing table is broken."""
    if isinstance(error, sqlite3.OperationalError):
        return "no such" in str(error) or "malformed" in str(error)
    return isinstance(error, _DamagedError | sqlite3.DatabaseError)


def _mark_clean(file: sqlite3.Connection) -> None:
    file.execute("UPDATE opened SET clean = 1")


def _pair(channel: str, seq: int) -> tuple[str, int]:
    return channel, seq
