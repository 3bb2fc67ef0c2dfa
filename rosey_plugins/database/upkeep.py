"""What is done beside the writing, in small steps between its commits: the search index, old rows, signs of life."""

from __future__ import annotations

from collections.abc import Mapping

import aiosqlite

from rosey_plugins.database.settings import TRIMMED, DatabaseSettings
from rosey_plugins.database.writer import Writer

INDEXED = 500
"""Lines that go into the index at once."""
TRIMS = 250
"""Rows that go at once."""
DAY = 86400.0

_UNINDEX = """
INSERT INTO chat_fts (chat_fts, rowid, text)
SELECT 'delete', id, text FROM chat WHERE id IN (SELECT value FROM json_each(?)) AND id <= (
    SELECT value FROM meta WHERE key = 'indexed')"""


async def indexed(connection: aiosqlite.Connection) -> int:
    """The last line that is in the search index."""
    rows = list(await connection.execute_fetchall("SELECT value FROM meta WHERE key = 'indexed'"))
    return int(rows[0][0]) if rows else 0


async def index_lines(writer: Writer, most: int = INDEXED) -> bool:
    """Put the next lines into the search index; whether there may be more."""
    async with writer.transaction() as connection:
        last = await indexed(connection)
        rows = list(
            await connection.execute_fetchall(
                "SELECT max(id), count(*) FROM (SELECT id FROM chat WHERE id > ? ORDER BY id LIMIT ?)", (last, most)
            )
        )
        until, count = rows[0]
        if count:
            await connection.execute(
                "INSERT INTO chat_fts (rowid, text) SELECT id, text FROM chat WHERE id > ? AND id <= ?", (last, until)
            )
            await connection.execute("INSERT OR REPLACE INTO meta VALUES ('indexed', ?)", (until,))
    return bool(count == most)


async def delete_lines(connection: aiosqlite.Connection, ids: str) -> None:
    """Delete lines of chat, in the search index too; `ids` is a list as JSON. Inside a transaction."""
    await connection.execute(_UNINDEX, (ids,))
    await connection.execute("DELETE FROM chat WHERE id IN (SELECT value FROM json_each(?))", (ids,))


async def trim(writer: Writer, settings: Mapping[str, DatabaseSettings], now: float) -> None:
    """Delete what is older than the settings of its channel want, in all tables."""
    for channel, wanted in settings.items():
        for table, name in TRIMMED.items():
            days = getattr(wanted, name)
            while days and await _trim_some(writer, channel, table, now - days * DAY):
                pass


async def _trim_some(writer: Writer, channel: str, table: str, before: float) -> bool:
    """Delete some of a table's old rows; whether there may be more."""
    time = "end_at" if table == "sessions" else "at"
    where = f"channel = (SELECT id FROM channels WHERE name = ?) AND {time} < ?"
    async with writer.transaction() as connection:
        if table == "chat":
            rows = await connection.execute_fetchall(
                f"SELECT id FROM chat WHERE {where} LIMIT ?", (channel, before, TRIMS)
            )
            ids = [number for (number,) in rows]
            await delete_lines(connection, f"[{','.join(map(str, ids))}]")
            return len(ids) == TRIMS
        key = "seq, at, channel" if table in _WITHOUT_ROWID else "rowid"
        done = await connection.execute(
            f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {where} LIMIT ?)",
            (channel, before, TRIMS),
        )
        return done.rowcount == TRIMS


_WITHOUT_ROWID = frozenset(("counts", "high_water", "status"))
