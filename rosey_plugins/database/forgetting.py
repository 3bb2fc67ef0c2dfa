"""Forgets a user, down to the bytes in the files, and tells what is kept about one.

`secure_delete` zeroes what is deleted, and that is not enough: deleted words stay in older pieces of the search
index, so it is merged into one piece; a page whose rows moved to another keeps a copy in its unused middle, so the
file is written anew (VACUUM); and the write-ahead log holds older pages, so it is emptied.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import msgspec

from rosey_core.api import NotReady, mentions
from rosey_plugins.database.presence import key_of
from rosey_plugins.database.rows import SERVER
from rosey_plugins.database.upkeep import delete_lines
from rosey_plugins.database.writer import Writer

LINES = 250
"""Lines that go at once."""
PAGES = 200
"""Pages of the search index that are merged at once."""
TRIES = 20

_Place = tuple[float, int]
"""A line's time and number."""
_FIRST = (-1.0, 0)
_SERVER_LINES = f"""
SELECT l.at, l.id, l.text, l.html, c.name FROM chat l JOIN channels c ON c.id = l.channel
WHERE l.user IS NULL AND (l.at, l.id) > (?, ?) AND l.flags & {SERVER} ORDER BY l.at, l.id LIMIT ?"""


async def forget(writer: Writer, user: str) -> bool:
    """Delete everything about a user, in all channels; whether there was anything.

    Lines of others stay, also those that name the user. Those of the server that do go: it tells moderators who came,
    and under which other names.

    Raises:
        NotReady: it is deleted, and the write-ahead log still holds it because somebody reads the file.
    """
    key = key_of(user)
    found = False
    for number in await _numbers(writer, key):
        found = True
        while await _forget_lines(writer, number):
            pass
        async with writer.transaction() as connection:
            for sql in (
                "DELETE FROM pms WHERE sender = ? OR recipient = ?1",
                "DELETE FROM sessions WHERE user = ?",
                "DELETE FROM users WHERE id = ? AND NOT EXISTS (SELECT 1 FROM chat WHERE user = ?1)",
            ):
                await connection.execute(sql, (number,))
            writer.forgotten()
    place: _Place | None = _FIRST
    while place is not None:
        place, some = await _forget_server_lines(writer, user, place)
        found = found or some
    async with writer.transaction() as connection:
        await connection.execute("UPDATE media SET queued_by = '', queued_key = '' WHERE queued_key = ?", (key,))
        rows = await connection.execute_fetchall("SELECT id, listing FROM channels")
        for number, listing in rows:
            names = msgspec.json.decode(listing)
            if key in names:
                left = msgspec.json.encode([name for name in names if name != key]).decode()
                await connection.execute("UPDATE channels SET listing = ? WHERE id = ?", (left, number))
        writer.forgotten()
    await merge(writer)
    await rewrite(writer)
    await empty_log(writer)
    return found


async def _numbers(writer: Writer, key: str) -> list[int]:
    async with writer.lock:
        rows = await writer.connection.execute_fetchall("SELECT id FROM users WHERE key = ?", (key,))
    return [number for (number,) in rows]


async def _forget_lines(writer: Writer, number: int) -> bool:
    """Delete some lines of a user; whether there may be more."""
    async with writer.transaction() as connection:
        rows = await connection.execute_fetchall("SELECT id FROM chat WHERE user = ? LIMIT ?", (number, LINES))
        ids = [line for (line,) in rows]
        await delete_lines(connection, f"[{','.join(map(str, ids))}]")
    return len(ids) == LINES


async def _forget_server_lines(writer: Writer, user: str, behind: _Place) -> tuple[_Place | None, bool]:
    """Delete the server's lines that name a user, of the next ones; where to go on, and whether there were any."""
    async with writer.transaction() as connection:
        rows = list(await connection.execute_fetchall(_SERVER_LINES, (*behind, LINES)))
        ids = [number for _, number, text, html, _ in rows if _names_in(text, html, user)]
        if ids:
            await delete_lines(connection, f"[{','.join(map(str, ids))}]")
    return _behind(rows), bool(ids)


def _behind(rows: list[Any]) -> _Place | None:
    """Where the next lines are; `None` if these were the last."""
    return (rows[-1][0], rows[-1][1]) if len(rows) == LINES else None


def _names_in(text: str, html: str | None, user: str) -> bool:
    return mentions(text, user) or (html is not None and mentions(html, user))


async def merge(writer: Writer) -> None:
    """Merge the search index into one piece, which has no deleted words, step by step."""
    pages = -PAGES  # the first step takes all pieces together; those behind it go on with that
    while True:
        async with writer.transaction() as connection:
            before = connection.total_changes
            await connection.execute("INSERT INTO chat_fts (chat_fts, rank) VALUES ('merge', ?)", (pages,))
            if connection.total_changes - before < 2:
                return
        pages = PAGES
        await asyncio.sleep(0)


async def rewrite(writer: Writer) -> None:
    """Write the file anew, without anything in what its pages do not use. Lists that come meanwhile wait."""
    execute = writer.connection.execute
    async with writer.lock:
        try:
            await execute("PRAGMA temp_store = FILE")  # the copy may be bigger than memory
            writer.rewrites = True
            await execute("VACUUM")
        except sqlite3.OperationalError as error:
            raise NotReady(f"what was deleted is not overwritten yet: {error}", retry=30) from error
        finally:
            writer.rewrites = False
            await execute("PRAGMA temp_store = MEMORY")


async def empty_log(writer: Writer) -> None:
    """Move everything from the write-ahead log to the file and empty it."""
    for _ in range(TRIES):
        async with writer.lock:
            rows = await writer.connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        if not next(iter(rows))[0]:
            return
        await asyncio.sleep(0.1)
    raise NotReady("what was deleted is still in the write-ahead log: somebody reads the database for long", retry=30)


TELLS = {
    "users": "SELECT c.name AS channel, u.* FROM users u JOIN channels c ON c.id = u.channel WHERE u.key = ?",
    "sessions": """
SELECT c.name AS channel, s.start_at, s.end_at FROM sessions s JOIN users u ON u.id = s.user
JOIN channels c ON c.id = s.channel WHERE u.key = ? ORDER BY s.start_at""",
    "chat": """
SELECT c.name AS channel, l.at, l.text, coalesce(l.html, l.text) AS html, l.kind, l.flags
FROM chat l JOIN users u ON u.id = l.user JOIN channels c ON c.id = l.channel WHERE u.key = ? ORDER BY l.at""",
    "private_messages": """
SELECT c.name AS channel, p.at, s.name AS sender, r.name AS recipient, p.text, p.kind
FROM pms p JOIN channels c ON c.id = p.channel LEFT JOIN users s ON s.id = p.sender
LEFT JOIN users r ON r.id = p.recipient WHERE ?1 IN (s.key, r.key) ORDER BY p.at""",
    "media_queued": """
SELECT c.name AS channel, m.at, m.title, m.link FROM media m JOIN channels c ON c.id = m.channel
WHERE m.queued_key = ? ORDER BY m.at""",
}
"""What is told of a user, each with its question."""


async def told(writer: Writer, user: str) -> dict[str, list[dict[str, Any]]]:
    """Everything that is kept about a user."""
    kept = {}
    for name, sql in TELLS.items():
        async with writer.lock:
            cursor = await writer.connection.execute(sql, (key_of(user),))
            rows = await cursor.fetchall()
        columns = [column[0] for column in cursor.description]
        kept[name] = [dict(zip(columns, row, strict=True)) for row in rows]
    kept["server_lines"] = await _told_by_server(writer, user)
    return kept


async def _told_by_server(writer: Writer, user: str) -> list[dict[str, Any]]:
    """The server's lines that name a user."""
    found: list[dict[str, Any]] = []
    place: _Place | None = _FIRST
    while place is not None:
        async with writer.lock:
            rows = list(await writer.connection.execute_fetchall(_SERVER_LINES, (*place, LINES)))
        found += [
            {"channel": channel, "at": at, "text": text}
            for at, _, text, html, channel in rows
            if _names_in(text, html, user)
        ]
        place = _behind(rows)
    return found
