"""The tables, as numbered migrations; what has run in a file stands in it with a checksum.

A migration that was published never changes: the next one changes what it made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from rosey_core.api import PluginError

APPLICATION = 0x524F5345
"""`ROSE`, in the file's header: whose it is."""


class ForeignError(PluginError):
    """A file that this rosey can't use: `why`, as a sentence about it, and what to do with the bot's own file."""

    def __init__(self, why: str, do: str) -> None:
        super().__init__(f"{why}: {do}")
        self.why = why
        self.do = do


class Migration(NamedTuple):
    """A step from one shape of the tables to the next."""

    number: int
    sql: str

    @property
    def checksum(self) -> str:
        """What it was when it ran."""
        return sha256(self.sql.encode()).hexdigest()[:32]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- Who has the file open for writing.
CREATE TABLE writers (
    instance TEXT PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL, started_at REAL NOT NULL,
    beat_at REAL NOT NULL
) WITHOUT ROWID;

-- A channel: how far its presence is reckoned (done_*, seen_at, inside, list_*, listing), its records, what was lost.
CREATE TABLE channels (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    done_seq INTEGER NOT NULL DEFAULT 0, done_at REAL NOT NULL DEFAULT 0, seen_at REAL NOT NULL DEFAULT 0,
    inside INTEGER NOT NULL DEFAULT 0, list_at REAL NOT NULL DEFAULT 0, list_before REAL NOT NULL DEFAULT 0,
    listing TEXT NOT NULL DEFAULT '[]', listed INTEGER NOT NULL DEFAULT 0, lost_events INTEGER NOT NULL DEFAULT 0,
    max_users INTEGER NOT NULL DEFAULT 0, max_users_at REAL,
    max_connected INTEGER NOT NULL DEFAULT 0, max_connected_at REAL
);

-- key is the name in lower case: CyTube's names are the same in any case. base_* is what an older bot counted.
CREATE TABLE users (
    id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, key TEXT NOT NULL,
    name TEXT NOT NULL, name_at REAL NOT NULL DEFAULT 0, first_seen REAL, last_seen REAL,
    lines INTEGER NOT NULL DEFAULT 0, connected REAL NOT NULL DEFAULT 0,
    base_first_seen REAL, base_last_seen REAL,
    base_lines INTEGER NOT NULL DEFAULT 0, base_connected REAL NOT NULL DEFAULT 0,
    UNIQUE (channel, key)
);
CREATE INDEX users_by_lines ON users (channel, lines + base_lines, id);

CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, user INTEGER NOT NULL, start_at REAL NOT NULL, end_at REAL
);
CREATE INDEX sessions_by_end ON sessions (channel, end_at);
CREATE INDEX sessions_by_user ON sessions (user, end_at);

-- Unique behind its time: new lines go to the end of the index, however many there are. user is NULL for the server.
-- html is NULL where it is the text. Imported lines have numbers below 0, so that numbers order as times do.
-- flags: 1 history, 2 own, 4 server, 8 shadow, 16 stopped by a judge, 32 imported.
CREATE TABLE chat (
    id INTEGER PRIMARY KEY AUTOINCREMENT, channel INTEGER NOT NULL, at REAL NOT NULL, event TEXT NOT NULL,
    seq INTEGER NOT NULL, user INTEGER, text TEXT NOT NULL, html TEXT, kind TEXT NOT NULL, flags INTEGER NOT NULL,
    UNIQUE (channel, at, event)
);
CREATE INDEX chat_by_user ON chat (user, at);
CREATE VIRTUAL TABLE chat_fts USING fts5(
    text, content='chat', content_rowid='id', tokenize="unicode61 remove_diacritics 2"
);

CREATE TABLE pms (
    id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, at REAL NOT NULL, seq INTEGER NOT NULL,
    sender INTEGER, recipient INTEGER, text TEXT NOT NULL, html TEXT, kind TEXT NOT NULL,
    UNIQUE (channel, at, seq)
);
CREATE INDEX pms_by_sender ON pms (sender);
CREATE INDEX pms_by_recipient ON pms (recipient);

-- position is where in the item it was when the bot heard of it; queued_key is queued_by in lower case.
CREATE TABLE media (
    id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, at REAL NOT NULL, seq INTEGER NOT NULL,
    type TEXT NOT NULL, media TEXT NOT NULL, title TEXT NOT NULL, seconds REAL NOT NULL, link TEXT NOT NULL,
    position REAL NOT NULL, queued_by TEXT NOT NULL, queued_key TEXT NOT NULL,
    UNIQUE (channel, at, seq)
);
CREATE INDEX media_by_queuer ON media (queued_key);

CREATE TABLE counts (
    channel INTEGER NOT NULL, at REAL NOT NULL, seq INTEGER NOT NULL, connected INTEGER NOT NULL,
    users INTEGER NOT NULL, PRIMARY KEY (channel, at, seq)
) WITHOUT ROWID;

CREATE TABLE high_water (
    channel INTEGER NOT NULL, at REAL NOT NULL, seq INTEGER NOT NULL, connected INTEGER NOT NULL,
    users INTEGER NOT NULL, PRIMARY KEY (channel, at, seq)
) WITHOUT ROWID;

CREATE TABLE status (
    channel INTEGER NOT NULL, at REAL NOT NULL, seq INTEGER NOT NULL, uptime REAL NOT NULL,
    joined INTEGER NOT NULL, events INTEGER NOT NULL, dropped INTEGER NOT NULL, PRIMARY KEY (channel, at, seq)
) WITHOUT ROWID;
""",
    ),
    # away_at: presence, too. uid: of the item in the playlist, 0 where that is not known.
    Migration(
        2,
        """
ALTER TABLE channels ADD COLUMN away_at REAL NOT NULL DEFAULT 0;
ALTER TABLE media ADD COLUMN uid INTEGER NOT NULL DEFAULT 0;
CREATE INDEX media_by_seq ON media (channel, seq);
""",
    ),
)

TABLES = (
    *("channels", "users", "sessions", "chat", "pms", "media", "counts", "high_water", "status"),
    *("chat_fts", "meta", "writers", "migrations"),
)
"""Every table that the newest shape has."""

_BACK = "go back to a backup with `rosey db restore FILE`"
_LIST = """
CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL, applied_at REAL NOT NULL)
"""


def applied(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """How many of the migrations have run in a file; 0 for an empty one. It is only read.

    Raises:
        ForeignError: the file is somebody else's, of a newer rosey, or made by other migrations of these numbers.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables:
        return 0
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION or "migrations" not in tables:
        raise ForeignError(
            "is a database of another program",
            "move it away, or, if it is an older bot's, take it over with `rosey db import`",
        )
    rows = connection.execute("SELECT number, checksum FROM migrations ORDER BY number").fetchall()
    known = {migration.number: migration.checksum for migration in migrations}
    for number, checksum in rows:
        if number not in known:
            raise ForeignError(
                f"was written by a newer rosey (its tables have shape {rows[-1][0]}, this one knows "
                f"{max(known, default=0)})",
                f"install that one again, or {_BACK}",
            )
        if known[number] != checksum:
            raise ForeignError(
                f"was made by another migration {number} than this rosey has, so its tables may differ",
                f"install the rosey that made it, or {_BACK}",
            )
    if [number for number, _ in rows] != [migration.number for migration in migrations[: len(rows)]]:
        raise ForeignError("lacks a migration between others", _BACK)
    return len(rows)


def migrate(connection: sqlite3.Connection, now: float, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Run what has not run yet, each migration as a whole or not at all. Raises as `applied`."""
    while (done := applied(connection, migrations)) < len(migrations):
        migration = migrations[done]
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; {_LIST};"
                f"{migration.sql};"
                f"INSERT INTO migrations VALUES ({migration.number}, '{migration.checksum}', {now:f}); COMMIT;"
            )
        except sqlite3.OperationalError:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if applied(connection, migrations) == done:  # else another process was faster
                raise
