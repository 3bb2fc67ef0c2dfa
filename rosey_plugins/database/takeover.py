"""Takes over what an older bot kept, as often as one likes.

What that bot counted is kept beside what is counted here, and replaced by the next import; its lines and numbers have
ids of their own, so that each comes once. Blocking, in small transactions, so that the bot may run meanwhile.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from rosey_core.api import PluginError
from rosey_plugins.database import opening
from rosey_plugins.database.older import MOST, OLD, Row, lacks, reading_old, rows, size
from rosey_plugins.database.presence import key_of
from rosey_plugins.database.rows import IMPORTED, PEAK
from rosey_plugins.database.schema import migrate

STEP = 1000
PAUSE = 0.01
"""Seconds between two transactions: the bot that runs wants to write too."""
BUSY_MS = 30_000

Progress = Callable[[int, int], None]


class Taken(msgspec.Struct):
    """What became of a table: rows that are new or changed here, that were here, and why others are left out."""

    new: int = 0
    known: int = 0
    bad: list[tuple[int, str]] = []
    lacks: str = ""


def take_over(path: Path, old: Path, channel: str, now: float, progress: Progress) -> dict[str, Taken]:
    """Import an older bot's file into a channel; what became of each of its tables.

    Raises:
        PluginError: it is no such file, can't be read, or the database is damaged.
        NotReady: the database can't be written now.
    """
    with reading_old(old) as source:
        opening.sound(path)
        with opening.output(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = opening.hold(path.parent)
        if lock is None:
            raise PluginError(f"{path} is being restored just now; try again when that is done")
        with lock, opening.translated(path), opening.writing(path) as target:
            target.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            migrate(target, now)
            opening.give(path)
            opening.keep_private(path)
            target.execute("INSERT INTO channels (name) VALUES (?) ON CONFLICT DO NOTHING", (channel,))
            (number,) = target.execute("SELECT id FROM channels WHERE name = ?", (channel,)).fetchone()
            return _Import(target, number).run(source, progress)


class _Import:
    """Into one channel, by its number."""

    def __init__(self, target: sqlite3.Connection, channel: int) -> None:
        self._execute = target.execute
        self._channel = channel

    def run(self, source: sqlite3.Connection, progress: Progress) -> dict[str, Taken]:
        whole, done = sum(size(source, table) for table in OLD), 0
        takes = {
            "user_stats": self._user,
            "recent_chat": self._line,
            "user_count_history": self._count,
            "channel_stats": self._records,
        }
        became = {table: Taken(lacks=lacks(source, table)) for table in OLD}
        for table, taken in became.items():
            if taken.lacks:
                continue
            good = iter(rows(source, table) if table != "user_stats" else _merged(rows(source, table), taken))
            while some := list(itertools.islice(good, STEP)):
                self._execute("BEGIN IMMEDIATE")
                for row in some:
                    if row.why:
                        taken.bad.append((row.number, row.why))
                    elif takes[table](row):
                        taken.new += 1
                    else:
                        taken.known += 1
                self._execute("COMMIT")
                done += len(some)
                progress(done, whole)
                time.sleep(PAUSE)
        return became

    def _user(self, row: Row) -> bool:
        name, *base = row.values
        first, last, lines, connected = base
        key = key_of(name)
        was = self._execute(_BASE, (self._channel, key)).fetchone()
        if was is not None and list(was) == base:
            return False
        self._execute(_USER, (self._channel, key, name, last or 0.0, first, last, lines, connected))
        return True

    def _line(self, row: Row) -> bool:
        at, name, text = row.values
        digest = blake2b(f"{at:.0f}\0{name}\0{text}".encode(), digest_size=8).hexdigest()
        event = f"import-{row.number}-{digest}"
        if self._execute(_IS_THERE, (self._channel, at, event)).fetchone():
            return False
        key = key_of(name)
        self._execute(_SPOKE, (self._channel, key, name, at))
        (user,) = self._execute("SELECT id FROM users WHERE channel = ? AND key = ?", (self._channel, key)).fetchone()
        number = self._free(row.number)
        self._execute(_LINE, (number, self._channel, at, event, -row.number, user, text, IMPORTED))
        self._execute("INSERT INTO chat_fts (rowid, text) VALUES (?, ?)", (number, text))
        return True

    def _free(self, number: int) -> int:
        """A number below 0 for a line: in the channel's range, ordered as the older bot's; else the next free."""
        low = -self._channel * MOST
        if self._execute("SELECT 1 FROM chat WHERE id = ?", (low + number,)).fetchone() is None:
            return low + number
        (last,) = self._execute("SELECT max(id) FROM chat WHERE id >= ? AND id < ?", (low, low + MOST)).fetchone()
        return int(last) + 1

    def _count(self, row: Row) -> bool:
        at, users, connected = row.values
        sql = "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        return self._execute(sql, (self._channel, at, -row.number, connected, users)).rowcount == 1

    def _records(self, row: Row) -> bool:
        users, users_at, connected, connected_at = row.values
        before = self._execute(_RECORDS, (self._channel,)).fetchone()
        self._execute(PEAK, (self._channel, users, 0, users_at))
        self._execute(PEAK, (self._channel, 0, connected, connected_at))
        return bool(self._execute(_RECORDS, (self._channel,)).fetchone() != before)


def _merged(found: Iterable[Row], taken: Taken) -> Iterable[Row]:
    """The users, those that differ in capitals only as one."""
    users: dict[str, Row] = {}
    for row in found:
        if row.why:
            taken.bad.append((row.number, row.why))
            continue
        key = key_of(row.values[0])
        before = users.get(key)
        users[key] = Row(row.number, _sum(before.values, row.values) if before else row.values)
    return users.values()


def _sum(one: tuple[Any, ...], two: tuple[Any, ...]) -> tuple[Any, ...]:
    newer = max(one, two, key=lambda values: values[2] or 0)
    first = min((values[1] for values in (one, two) if values[1] is not None), default=None)
    return (newer[0], first, newer[2], one[3] + two[3], one[4] + two[4])


_BASE = """
SELECT base_first_seen, base_last_seen, base_lines, base_connected FROM users WHERE channel = ? AND key = ?"""
_USER = """
INSERT INTO users (channel, key, name, name_at, base_first_seen, base_last_seen, base_lines, base_connected)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (channel, key) DO UPDATE SET
    name = CASE WHEN excluded.name_at > name_at THEN excluded.name ELSE name END,
    name_at = max(name_at, excluded.name_at),
    base_first_seen = excluded.base_first_seen, base_last_seen = excluded.base_last_seen,
    base_lines = excluded.base_lines, base_connected = excluded.base_connected"""
_SPOKE = """
INSERT INTO users (channel, key, name, name_at, base_first_seen, base_last_seen) VALUES (?1, ?2, ?3, ?4, ?4, ?4)
ON CONFLICT (channel, key) DO NOTHING"""
_IS_THERE = "SELECT 1 FROM chat WHERE channel = ? AND at = ? AND event = ?"
_LINE = """
INSERT INTO chat (id, channel, at, event, seq, user, text, kind, flags) VALUES (?, ?, ?, ?, ?, ?, ?, 'say', ?)"""
_RECORDS = "SELECT max_users, max_users_at, max_connected, max_connected_at FROM channels WHERE id = ?"
