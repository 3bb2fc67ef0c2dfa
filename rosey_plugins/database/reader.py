"""The connection that only reads, so that questions do not wait for the writer."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from rosey_core.api import PluginError, Unavailable
from rosey_plugins.database.opening import READING, uri

SECONDS = 1.5
"""How long a question may take; the host waits two."""
STEPS = 20_000
"""Steps of SQLite's machine between two looks at the clock: about a millisecond."""


class Reader:
    """Answers questions, one after another."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()
        self._until = 0.0

    @classmethod
    async def open(cls, path: Path) -> Reader:
        """Open a file that is there."""
        connection = await aiosqlite.connect(uri(path, "ro"), uri=True, isolation_level=None)
        for pragma in READING:
            await connection.execute(pragma)
        reader = cls(connection)
        await connection.set_progress_handler(reader.late, STEPS)
        return reader

    def late(self) -> int:
        """Not 0 once the question that runs should end."""
        return int(time.monotonic() > self._until)

    async def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a question.

        Raises:
            PluginError: it takes too long.
            Unavailable: the file can't be read now.
        """
        async with self._lock:
            self._until = time.monotonic() + SECONDS
            try:
                return list(await self._connection.execute_fetchall(sql, values))
            except sqlite3.OperationalError as error:
                if str(error) == "interrupted":
                    raise PluginError("that takes too long to look up: ask for less") from None
                raise Unavailable(f"the database can't be read now: {error}") from error
            except sqlite3.DatabaseError as error:
                raise Unavailable(f"the database can't be read ({error}): rosey db check says more") from error

    async def close(self) -> None:
        """Close it, at the end of what is read just now."""
        async with self._lock:
            await self._connection.close()
