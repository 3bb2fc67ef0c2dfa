"""The event log's file: damaged, of a newer rosey, somebody else's, or held by another program."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from rosey_core.errors import ConfigError, EventLogError
from rosey_core.eventlog.engine import Batch, Row
from rosey_core.eventlog.sqlite import SqliteLog

ROWS = [Row("cytube", seq, "chat.message", "bob", 1.0, b'{"text":"%d"}' % seq) for seq in range(1, 2_000)]


async def filled(path: Path, *, close: bool = True) -> SqliteLog:
    """A log with rows in it."""
    log = SqliteLog(path)
    await log.open()
    await log.commit(Batch(ROWS))
    if close:
        await log.close()
    return log


def spoil(path: Path, at: int, what: bytes = b"\xa5" * 3_000) -> None:
    """Write over a part of the file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(what)


@pytest.mark.parametrize("at", (0, 4_096, 20_480, 60_000))
@pytest.mark.parametrize("clean", (True, False))
async def test_a_damaged_file_is_put_aside(tmp_path: Path, at: int, clean: bool) -> None:
    """Wherever it is damaged and however it was left: a new one begins, the old one stays as it is, under a name."""
    path = tmp_path / "events.db"
    await filled(path)
    if not clean:
        with closing(sqlite3.connect(path)) as file:
            file.execute("UPDATE opened SET clean = 0")
            file.commit()
    spoil(path, at)
    before = path.read_bytes()
    log = SqliteLog(path)
    opened = await log.open()
    if opened.trouble:
        assert "was put aside as events.db.damaged-" in opened.trouble
        assert opened.heads == {}
        assert before in [path.read_bytes() for path in sorted(tmp_path.iterdir()) if ".damaged-" in path.name]  # noqa: ASYNC240  a test
    await log.commit(Batch([Row("cytube", 5_000, "chat.message", "", 1.0, b"{}")]))
    await log.close()
    assert opened.trouble or clean  # a part that nobody looked at is found when it is used


async def test_damage_that_is_found_later(tmp_path: Path) -> None:
    """What is found damaged while it is used is looked at closer at the next start."""
    path = tmp_path / "events.db"
    await filled(path)
    size = path.stat().st_size
    spoil(path, size // 2, b"\xa5" * (size // 3))
    log = SqliteLog(path)
    opened = await log.open()
    if not opened.trouble:
        with pytest.raises(EventLogError):
            await asyncio.gather(*(log.read("cytube", seq, 10) for seq in range(0, 2_000, 10)))
        await log.close()
        log = SqliteLog(path)
        opened = await log.open()
    await log.close()
    assert "was put aside" in opened.trouble


@pytest.mark.parametrize(
    "sql", ("DELETE FROM opened", "DROP TABLE opened", "PRAGMA user_version = 0", "DROP TABLE events")
)
async def test_a_file_of_another_shape(tmp_path: Path, sql: str) -> None:
    """What has not our tables is no log of ours."""
    path = tmp_path / "events.db"
    await filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(sql)
    log = SqliteLog(path)
    assert "was put aside" in (await log.open()).trouble
    await log.close()


async def test_a_newer_file(tmp_path: Path) -> None:
    """It is refused with what to do, and not touched."""
    path = tmp_path / "events.db"
    await filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA user_version = 77")
    before, log = path.read_bytes(), SqliteLog(path)
    with pytest.raises(ConfigError, match="its format is 77, and this one knows 1"):
        await log.open()
    await log.close()
    assert path.read_bytes() == before


async def test_the_end_waits_for_nobody(tmp_path: Path) -> None:
    """Another program that holds the file does not hold up the end."""
    path = tmp_path / "events.db"
    log = await filled(path, close=False)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        await log.close()
        assert time.monotonic() - began < 4.5
        file.execute("ROLLBACK")


async def test_somebody_reads_while_it_forgets(tmp_path: Path) -> None:
    """What could not be wiped from the write-ahead log is an error, and done at the next try, whatever is left."""
    path = tmp_path / "events.db"
    log = await filled(path, close=False)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("BEGIN")
        file.execute("SELECT count(*) FROM events").fetchone()
        with pytest.raises(EventLogError, match=r"another program reads|locked"):
            await log.rewrite([], [("cytube", 7)])
        file.execute("ROLLBACK")
    await log.rewrite([], [])
    await log.close()
    for name in ("events.db", "events.db-wal"):
        if (tmp_path / name).exists():
            assert b'"text":"7"' not in (tmp_path / name).read_bytes()


async def test_one_after_another(tmp_path: Path) -> None:
    """Commits that are asked for at once are all done, each with its own answer."""
    log = SqliteLog(tmp_path / "events.db")
    await log.open()
    answers = await asyncio.gather(*(log.commit(Batch(claims=[(b"%d" % (n // 2), 1.0)])) for n in range(20)))
    assert answers == [[True], [False]] * 10
    await log.close()
