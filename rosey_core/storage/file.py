"""The store's SQLite file: the only place that knows its tables.

A plugin's name, a channel's and a key are columns of their own, so no two ever look alike. How much each plugin keeps
is counted by triggers. Errors that concern the file are `Unavailable`, and nothing of the transaction is stored then;
other `PluginError`s concern one operation, which did nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import aiosqlite
import msgspec

from rosey_core.clock import WallClock
from rosey_core.errors import PluginError, Unavailable
from rosey_core.storage.items import EACH, MOST, NULL, Operation, Place, number_in, total

APPLICATION = int.from_bytes(b"rose")
VERSION = 1
BUSY_SECONDS = 2.0
"""How long to wait for another program that has the file locked."""
PAGE = 500
"""Rows that are searched at a time; in between, others get their turn."""
BEYOND = "\U0010ffff" * 129
"""Behind a prefix: greater than every key of 512 bytes that begins with it."""

_SIZE = f"length(CAST({{0}}.key AS BLOB)) + length({{0}}.value) + {EACH}"
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE item (
  id INTEGER PRIMARY KEY, plugin TEXT NOT NULL, channel TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
  expires REAL, UNIQUE (plugin, channel, key)
);
CREATE INDEX item_expires ON item (expires) WHERE expires IS NOT NULL;
CREATE TABLE used (plugin TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER item_new AFTER INSERT ON item BEGIN
  INSERT INTO used VALUES (new.plugin, {_SIZE.format("new")})
    ON CONFLICT (plugin) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER item_changed AFTER UPDATE OF value ON item BEGIN
  UPDATE used SET bytes = bytes + length(new.value) - length(old.value) WHERE plugin = new.plugin;
END;
CREATE TRIGGER item_gone AFTER DELETE ON item BEGIN
  UPDATE used SET bytes = bytes - ({_SIZE.format("old")}) WHERE plugin = old.plugin;
END;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""  # noqa: S608  numbers of ours

_READ = """
SELECT value, expires FROM item
WHERE plugin = ? AND channel = ? AND key = ? AND (expires IS NULL OR expires > ?)
"""
_WRITE = """
INSERT INTO item (plugin, channel, key, value, expires) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (plugin, channel, key) DO UPDATE SET value = excluded.value, expires = excluded.expires
"""
_DELETE = "DELETE FROM item WHERE plugin = ? AND channel = ? AND key = ?"
_LIST = """
SELECT key FROM item
WHERE plugin = ? AND channel = ? AND key >= ? AND key < ? AND key > ? AND (expires IS NULL OR expires > ?)
ORDER BY key LIMIT ?
"""
_FIND = """
SELECT id, plugin, channel, key,
  instr(fold(key), :text) OR instr(fold(CAST(value AS TEXT)), :json)
FROM item WHERE id > :after ORDER BY id LIMIT :page
"""


async def open_file(path: Path, clock: WallClock, *, check: bool) -> File:
    """Open the store, or make it.

    Args:
        path: the file.
        clock: tells the time by which values expire.
        check: look through the whole file first.

    Raises:
        Unavailable: it can't be opened, or is damaged, or not a store that this rosey knows. It is as it was then.
    """
    with _telling(path):
        if check:
            await _examine(path)
        db = await aiosqlite.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            await _prepare(db, path)
        except BaseException:
            await db.close()
            raise
    return File(db, path, clock)


async def _examine(path: Path) -> None:
    """Look through the file, by a connection that can't write to it: closing another one would."""
    try:
        db = await aiosqlite.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    except sqlite3.OperationalError:
        return  # there is none; or there is, and opening it to write tells what is wrong
    try:
        await _version(db, path)
        ((verdict,),) = await db.execute_fetchall("PRAGMA quick_check(1)")
    finally:
        await db.close()
    if verdict != "ok":
        raise sqlite3.DatabaseError(" ".join(verdict.split()))


async def _version(db: aiosqlite.Connection, path: Path) -> int:
    """The version of a file's tables; 0 when it has none yet."""
    ((tables,),) = await db.execute_fetchall("SELECT count(*) FROM sqlite_master")
    ((application,),) = await db.execute_fetchall("PRAGMA application_id")
    ((version,),) = await db.execute_fetchall("PRAGMA user_version")
    if tables and application != APPLICATION:
        raise Unavailable(f"{path} is a database of another program's; move it away, and rosey makes its own")
    if version > VERSION:
        raise Unavailable(
            f"{path} was written by a newer rosey (its tables have version {version}, this rosey knows {VERSION}); "
            f"install that one again, or move the file away to begin with an empty store"
        )
    return int(version)


async def _prepare(db: aiosqlite.Connection, path: Path) -> None:
    await db.execute_fetchall("PRAGMA journal_mode = WAL")
    await db.execute_fetchall("PRAGMA synchronous = NORMAL")
    await db.execute_fetchall("PRAGMA secure_delete = ON")
    if not await _version(db, path):
        await db.executescript(_SCHEMA)
    # Not of the file, so that another rosey may have another limit.
    await db.execute_fetchall(
        f"CREATE TEMP TRIGGER most BEFORE UPDATE OF bytes ON main.used "
        f"WHEN new.bytes > old.bytes AND new.bytes > {MOST} BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    await db.create_function("fold", 1, str.casefold, deterministic=True)


@contextlib.contextmanager
def _telling(path: Path, file: File | None = None) -> Iterator[None]:
    """Turn SQLite's errors that concern the file into sentences, and let `file` know how it is."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = error.sqlite_errorcode & 0xFF
        if file is not None and code not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
            file.usable = False
        raise Unavailable(f"the store {path} can't be used now, and nothing was changed in it: {error}") from None
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:
            raise  # `IntegrityError` is one operation's: a limit; others would be ours
        if file is not None:
            file.usable, file.damaged = False, True
        raise Unavailable(
            f"the store {path} is damaged, and nothing is written to it: {error}. Stop rosey, move the file away or "
            f"put a copy of it in its place, and start rosey again"
        ) from None


class File:
    """An open store.

    Attributes:
        usable: it may go on being used; else close it, and open it again.
        damaged: what is in the file makes no sense.
    """

    def __init__(self, db: aiosqlite.Connection, path: Path, clock: WallClock) -> None:
        self.usable = True
        self.damaged = False
        self._db = db
        self._path = path
        self._clock = clock

    async def _run(self, sql: str, *values: Any) -> list[Any]:
        with _telling(self._path, self):
            return list(await self._db.execute_fetchall(sql, values))

    # --- transactions ---

    async def begin(self) -> None:
        """Begin to write; what has expired goes in passing."""
        with _telling(self._path, self):
            await self._db.executescript(
                f"BEGIN IMMEDIATE; DELETE FROM item WHERE expires <= {float(self._clock())!r};"  # noqa: S608  a number
            )

    async def commit(self) -> None:
        """Keep what was written since."""
        await self._run("COMMIT")

    async def undo(self) -> None:
        """Forget what was written since."""
        if self._db.in_transaction:  # SQLite may have done it already
            await self._run("ROLLBACK")

    async def close(self) -> None:
        """Close it, whatever state it is in."""
        with contextlib.suppress(sqlite3.Error):
            await self._db.close()

    # --- what plugins want ---

    async def do(self, plugin: str, operation: Operation) -> Any:
        """Do it, and return its result as docs/workers.md says."""
        try:
            return await self._table[operation.do](self, plugin, operation)
        except sqlite3.IntegrityError:
            raise PluginError(
                f"{plugin} has {MOST >> 20} MiB in the store, and one plugin may keep no more there: let it delete "
                f"something, or give its values a ttl"
            ) from None

    async def _read(self, plugin: str, operation: Operation) -> tuple[bytes, float | None] | None:
        rows = await self._run(_READ, plugin, operation.channel, operation.key, self._clock())
        return rows[0] if rows else None

    async def _write(self, plugin: str, operation: Operation, value: bytes, expires: float | None) -> None:
        await self._run(_WRITE, plugin, operation.channel, operation.key, value, expires)

    def _expires(self, operation: Operation) -> float | None:
        return None if operation.ttl is None else self._clock() + operation.ttl

    async def _get(self, plugin: str, operation: Operation) -> Any:
        row = await self._read(plugin, operation)
        return None if row is None else {"value": msgspec.Raw(row[0])}

    async def _put(self, plugin: str, operation: Operation) -> None:
        await self._write(plugin, operation, bytes(operation.value), self._expires(operation))

    async def _delete(self, plugin: str, operation: Operation) -> bool:
        row = await self._read(plugin, operation)
        if row is not None:
            await self._run(_DELETE, plugin, operation.channel, operation.key)
        return row is not None

    async def _list(self, plugin: str, operation: Operation) -> list[str]:
        start, after = operation.key, operation.after
        where = (plugin, operation.channel, start, start + BEYOND, after, self._clock(), operation.limit)
        return [key for (key,) in await self._run(_LIST, *where)]

    async def _swap(self, plugin: str, operation: Operation) -> bool:
        row = await self._read(plugin, operation)
        found = None if row is None else msgspec.json.decode(row[0])
        # As values, not as text: another language may write the same object in another order.
        if found != msgspec.json.decode(operation.old):
            return False
        if bytes(operation.value) == bytes(NULL):
            await self._delete(plugin, operation)
        else:
            await self._put(plugin, operation)
        return True

    async def _add(self, plugin: str, operation: Operation) -> int | float:
        row = await self._read(plugin, operation)
        before = 0 if row is None else number_in(row[0], operation.key, "what is under")
        result = total(before, number_in(operation.value, operation.key, "what should be added to"), operation.key)
        expires = self._expires(operation) if operation.ttl is not None or row is None else row[1]
        await self._write(plugin, operation, msgspec.json.encode(result), expires)
        return result

    _table: ClassVar[dict[str, Callable[[File, str, Operation], Awaitable[Any]]]] = {
        "get": _get,
        "put": _put,
        "delete": _delete,
        "list": _list,
        "swap": _swap,
        "add": _add,
    }

    # --- what the owner wants ---

    async def find(self, text: str, after: int) -> tuple[list[Place], int]:
        """Search a page of rows behind the row `after` for a text; the number to go on after, 0 at the end."""
        told = {
            "text": text.casefold(),
            "json": msgspec.json.encode(text)[1:-1].decode().casefold(),
            "after": after,
            "page": PAGE,
        }
        with _telling(self._path, self):
            rows = list(await self._db.execute_fetchall(_FIND, told))
        found = [Place(*where) for _, *where, holds in rows if holds]
        return found, rows[-1][0] if len(rows) == PAGE else 0

    async def erase(self, places: Sequence[Place]) -> int:
        """Delete what is there; how many there were."""
        with _telling(self._path, self):
            cursor = await self._db.executemany(_DELETE, [(p.plugin, p.channel, p.key) for p in places])
            count = cursor.rowcount
            await cursor.close()
        return max(0, count)

    async def checkpoint(self) -> None:
        """Write the file anew, and empty the write-ahead log: what was deleted is in neither then."""
        # secure_delete does not reach the copy that a page keeps in its unused middle when rows moved away.
        await self._run("VACUUM")
        ((busy, *_),) = await self._run("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise Unavailable(
                f"another program reads {self._path}: what was deleted may be in {self._path}-wal still"
            )
