"""What the event log does in SQLite, step by step; each is called in a transaction of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

import msgspec

from rosey_core.eventlog.engine import Batch, Lost, Row

VERSION = 1
CHUNK = 200
"""Rows that are trimmed or looked at in one go: short enough for a commit to wait behind."""
MOST_DEAD = 10_000
"""Dead letters of one plugin that stay; the oldest go before more."""

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


def commit(file: sqlite3.Connection, batch: Batch) -> list[bool]:
    """Write a batch; for each claim, whether it is the first of its id."""
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


def trim(file: sqlite3.Connection, before: float, most: int) -> tuple[list[Lost], bool]:
    """Drop one chunk of one channel; what plugins lose by it, and whether there may be more to drop."""
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
    over = size(file) > most
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


def tidy(file: sqlite3.Connection, before: float) -> None:
    """Drop claims and dead letters that are too old, and letters of which there are too many."""
    for table in ("claims", "dead"):
        file.execute(f'DELETE FROM {table} WHERE "when" < ?', (before,))  # noqa: S608  of two
    for (plugin,) in file.execute("SELECT plugin FROM dead GROUP BY plugin HAVING count(*) > ?", (MOST_DEAD,)):
        file.execute(
            'DELETE FROM dead WHERE plugin = ? AND "when" <= (SELECT "when" FROM dead WHERE plugin = ? '
            'ORDER BY "when" DESC LIMIT 1 OFFSET ?)',
            (plugin, plugin, MOST_DEAD),
        )


def retain(file: sqlite3.Connection, plugins: Collection[str]) -> None:
    """Forget cursors and dead letters of all plugins but these."""
    for table in ("cursors", "dead"):
        known = [name for (name,) in file.execute(f"SELECT DISTINCT plugin FROM {table}")]  # noqa: S608  of two
        file.executemany(
            f"DELETE FROM {table} WHERE plugin = ?",  # noqa: S608  the same two
            [(name,) for name in known if name not in plugins],
        )


def rewrite(file: sqlite3.Connection, rows: Sequence[Row], gone: Sequence[tuple[str, int]]) -> None:
    """Put other bodies in the place of rows, and delete others; dead letters of the same events, too."""
    changed = [(row.user, row.body, row.channel, row.seq) for row in rows]
    file.executemany("UPDATE events SET user = ?, body = ? WHERE channel = ? AND seq = ?", changed)
    file.executemany(
        "UPDATE dead SET body = ? WHERE channel = ? AND seq = ?", [(body, *key) for _, body, *key in changed]
    )
    file.executemany("DELETE FROM events WHERE channel = ? AND seq = ?", gone)
    file.executemany("DELETE FROM dead WHERE channel = ? AND seq = ?", gone)


def size(file: sqlite3.Connection) -> int:
    """Bytes in use."""
    (pages,), (free,), (page,) = (
        file.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page)
