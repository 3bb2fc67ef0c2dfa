"""Reads what an older bot kept: its `bot.db`, row by row, with a reason for each row that can't be taken."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rosey_core.api import PluginError
from rosey_plugins.database.opening import uri
from rosey_plugins.database.rows import storable

OLD = {
    "user_stats": ("username", "first_seen", "last_seen", "total_chat_lines", "total_time_connected"),
    "recent_chat": ("timestamp", "username", "message"),
    "user_count_history": ("timestamp", "chat_users", "connected_users"),
    "channel_stats": ("max_users", "max_users_timestamp", "max_connected", "max_connected_timestamp"),
}
"""The older bot's tables, and the columns that are read."""

LAST = 253402300799
"""The last second of a year with four digits."""
MOST = 1 << 40
_SECONDS = {"first_seen", "last_seen", "total_time_connected", "timestamp"} | {
    *("max_users_timestamp", "max_connected_timestamp"),
}


class Row(NamedTuple):
    """A row: its number, its values, and why it can't be taken (then it has none)."""

    number: int
    values: tuple[Any, ...]
    why: str = ""


class UnreadError(Exception):
    """The older bot's file can't be read further."""


@contextlib.contextmanager
def reading_old(path: Path) -> Iterator[sqlite3.Connection]:
    """The older bot's file, to read. Raises `PluginError` if it is none."""
    if not path.is_file():
        raise PluginError(f"{path} is not there")
    try:
        connection = sqlite3.connect(uri(path, "ro"), uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise PluginError(f"{path} can't be read: {error}") from error
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    with contextlib.closing(connection):
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        except sqlite3.Error as error:
            raise PluginError(f"{path} can't be read as an older bot's database: {error}") from error
        if not tables & OLD.keys():
            raise PluginError(f"{path} is no older bot's database: it has none of the tables {', '.join(OLD)}")
        try:
            yield connection
        except UnreadError as error:
            raise PluginError(
                f"{path} can't be read to its end: {error}. What could be read before is taken. Try a copy that "
                f"`.recover` of sqlite3 made: once more does no harm."
            ) from error


@contextlib.contextmanager
def _from_old() -> Iterator[None]:
    """Tell a fault of the older bot's file from one of the database it goes into."""
    try:
        yield
    except sqlite3.Error as error:
        raise UnreadError(str(error)) from error


def lacks(connection: sqlite3.Connection, table: str) -> str:
    """What a table lacks, in words; empty if nothing."""
    with _from_old():
        there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    if not there:
        return "there is no such table"
    missing = [column for column in OLD[table] if column not in there]
    return f"it has no column {missing[0]}" if missing else ""


def size(connection: sqlite3.Connection, table: str) -> int:
    """How many rows a table has; 0 for one that can't be read."""
    if lacks(connection, table):
        return 0
    with _from_old():
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def rows(connection: sqlite3.Connection, table: str) -> Iterator[Row]:
    """The rows of a table, in the order of their numbers."""
    order = "timestamp, rowid" if "timestamp" in OLD[table] else "rowid"
    with _from_old():
        found = connection.execute(f"SELECT rowid, {', '.join(OLD[table])} FROM {table} ORDER BY {order}")
    while True:
        with _from_old():
            one = next(found, None)
        if one is None:
            return
        number, *values = one
        taken, why = [], ""
        for column, value in zip(OLD[table], values, strict=True):
            kept, why = _value(column, value)
            if why:
                break
            taken.append(kept)
        if not why and not 0 < number < MOST:
            why = f"its number is {number}"
        yield Row(number, () if why else tuple(taken), why)


def _value(column: str, value: Any) -> tuple[Any, str]:
    """A value as it is kept, or why it can't be."""
    if column in {"username", "message"}:
        if not isinstance(value, str) or (column == "username" and not value.strip()):
            return None, f"{column} is {value!r:.40}, and should be text"
        return storable(value), ""
    if value is None and column not in {"timestamp", "chat_users", "connected_users"}:
        return (None if column.endswith(("_seen", "_timestamp")) else 0), ""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None, f"{column} is {value!r:.40}, and should be a number"
    if not 0 <= value <= LAST:
        return None, f"{column} is {value!r:.40}, which can't be"
    return (float(value) if column in _SECONDS else int(value)), ""
