"""What the tests of the plugin `database` share: a context of real files, events, and what stands in the tables."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, cast

import structlog
from structlog.testing import CapturingLogger

from rosey_core.api import Context, Metadata, NormalizedEvent
from rosey_core.api import events as ev
from rosey_core.events import event_type_of
from rosey_plugins.database import Database
from rosey_plugins.database.settings import DatabaseSettings

NOTHING = Metadata()


class Place:
    """As much of a context as the plugin uses."""

    def __init__(self, directory: Path, channel: str = "cytube", **settings: Any) -> None:
        self.directory = directory
        self.channel_name = channel
        self.settings = DatabaseSettings(**settings)
        self.logged = CapturingLogger()
        self.log = structlog.wrap_logger(self.logged, processors=[_as_event])
        self.now = 5000.0
        self.published: list[Any] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def clock(self) -> float:
        """The time, which the test sets."""
        return self.now

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """A task of the plugin's."""
        self.tasks.append(asyncio.get_running_loop().create_task(work, name=name))
        return self.tasks[-1]

    def publish(self, name: str, data: Any) -> None:
        """An event of the plugin's own."""
        self.published.append((name, data))

    @property
    def events(self) -> list[str]:
        """The names of what was logged."""
        return [call.kwargs["event"] for call in self.logged.calls]


def _as_event(_: object, __: str, fields: Any) -> Any:
    return (), dict(fields)


def context(place: Place) -> Context:
    """It, as the plugin's type."""
    return cast("Context", place)


@contextlib.asynccontextmanager
async def running(place: Place) -> AsyncIterator[Database]:
    """The plugin, started and at the end stopped, as the host does it."""
    plugin = Database(place.settings)
    try:
        await plugin.start(context(place))
        yield plugin
    finally:
        await plugin.stop()
        for task in place.tasks:
            task.cancel()
        await asyncio.gather(*place.tasks, return_exceptions=True)


async def write(plugin: Database, place: Place, *events: NormalizedEvent) -> None:
    """Give it a list."""
    await plugin.on_events(context(place), events)


_seqs = itertools.count(1)


def event(
    data: Any,
    at: float = 100.0,
    *,
    seq: int = 0,
    identity: str = "",
    channel: str = "cytube",
    metadata: Metadata = NOTHING,
) -> NormalizedEvent:
    """An event; without `seq` the next one."""
    seq = seq or next(_seqs)
    kind = event_type_of(data)
    return NormalizedEvent(kind, "cytube", data, at, metadata, identity or f"{channel}-{seq}", channel, seq)


def line(user: str, text: str, at: float = 100.0, **fields: Any) -> NormalizedEvent:
    """A line of chat."""
    return event(ev.ChatMessage(user, text, html=text, time_ms=int(at * 1000)), at, **fields)


def listed(*names: str, page: int = 1, pages: int = 1) -> ev.UserList:
    """A list of users."""
    return ev.UserList(tuple(map(ev.User, names)), page, pages)


CONTENTS = {
    "channels": "SELECT name, done_seq, done_at, seen_at, inside, away_at, list_at, listing, lost_events, max_users, "
    "max_users_at, max_connected, max_connected_at FROM channels ORDER BY name",
    "users": "SELECT c.name, key, u.name, first_seen, last_seen, lines, round(connected, 6) FROM users u "
    "JOIN channels c ON c.id = channel ORDER BY c.name, key",
    "sessions": "SELECT c.name, key, start_at, end_at FROM sessions s JOIN users u ON u.id = user "
    "JOIN channels c ON c.id = s.channel ORDER BY 1, 2, 3, 4",
    "chat": "SELECT c.name, key, at, event, text, html, kind, flags FROM chat l LEFT JOIN users u ON u.id = user "
    "JOIN channels c ON c.id = l.channel ORDER BY 1, 3, 4",
    "pms": "SELECT c.name, at, seq, text FROM pms p JOIN channels c ON c.id = p.channel ORDER BY 1, 2, 3",
    "media": "SELECT c.name, at, seq, title, queued_by FROM media JOIN channels c ON c.id = channel ORDER BY 1, 2, 3",
    "counts": "SELECT c.name, at, seq, connected, users FROM counts JOIN channels c ON c.id = channel ORDER BY 1, 2",
    "high_water": "SELECT c.name, at, seq FROM high_water n JOIN channels c ON c.id = n.channel ORDER BY 1, 2, 3",
    "status": "SELECT c.name, at, seq, events FROM status n JOIN channels c ON c.id = n.channel ORDER BY 1, 2, 3",
}


def contents(directory: Path) -> dict[str, list[Any]]:
    """All that is kept, without numbers of rows."""
    with contextlib.closing(sqlite3.connect(directory / "database.db")) as connection:
        return {table: connection.execute(sql).fetchall() for table, sql in CONTENTS.items()}


def ask(directory: Path, sql: str, *values: Any) -> list[Any]:
    """Look into the file."""
    with contextlib.closing(sqlite3.connect(directory / "database.db")) as connection:
        rows = connection.execute(sql, values).fetchall()
        connection.commit()
        return rows
