"""The store where it can't do what it should, and what the owner wants of it: real files, real limits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from rosey_core import log
from rosey_core.errors import Unavailable
from rosey_core.storage import file, storage
from rosey_core.storage.items import Place
from rosey_core.storage.storage import Storage
from tests.stores import Clock, of, running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store.db"


@pytest.fixture
async def kept(path: Path) -> AsyncIterator[Storage]:
    """A store that serves."""
    async with running(path) as kept:
        yield kept


@contextlib.contextmanager
def no_space(limit: int) -> Iterator[None]:
    """Files of this process can't get longer than `limit` bytes; the system says so at the write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_no_space(kept: Storage, path: Path) -> None:
    """A write says why, what is only read goes on, and it is all well when there is space again."""
    store = of(kept)
    await store.put("x", 1)
    with capture_logs() as lines:
        with no_space(32_768):  # room for SQLite's index of its log, so that it can read
            for _ in range(3):
                told = await asyncio.gather(
                    store.put("y", "y" * 60_000), store.get("x"), store.add("n"), return_exceptions=True
                )
                assert isinstance(told[0], Unavailable)
                assert isinstance(told[2], Unavailable)
                assert str(told[0]).startswith(f"the store {path} can't be used now, and nothing was changed in it: ")
                assert told[1] == 1
            assert kept.fault == str(told[0])
        await store.put("x", 3)
    assert (await store.get("x"), await store.get("n")) == (3, None)
    assert [line["event"] for line in lines] == ["store.failed", "store.back"]
    assert kept.fault == ""


async def test_full(kept: Storage) -> None:
    """The same where SQLite itself finds that it is full: the transaction goes, the connection stays."""
    store = of(kept)
    await store.put("x", 1)
    assert kept._file is not None
    db = kept._file._db
    await db.execute_fetchall("PRAGMA max_page_count = 10")
    told = await asyncio.gather(
        store.put("y", "y" * 60_000), store.put("x", 2), store.get("x"), return_exceptions=True
    )
    assert [type(each) for each in told[:2]] == [Unavailable, Unavailable]
    assert "full" in str(told[0])
    assert told[2] == 1
    await db.execute_fetchall("PRAGMA max_page_count = 1000000")
    await store.put("y", "y" * 60_000)
    assert kept._file._db is db


async def test_locked_by_another_program(kept: Storage, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's shell holds a lock: reading goes on, a write says so, and later ones work."""
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.01)
    store = of(kept)
    await store.put("x", 1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="database is locked"):
            await store.put("x", 2)
        assert await store.get("x") == 1
        with pytest.raises(Unavailable, match="database is locked"):
            await store.put("x", 2)
    await store.put("x", 3)


async def test_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store that can't be made now is made when it can."""
    monkeypatch.setattr(storage, "RETRY", 0.0)
    path = tmp_path / "there" / "store.db"
    async with running(path) as kept:
        with pytest.raises(Unavailable, match="unable to open database file"):
            await of(kept).put("x", 1)
        path.parent.mkdir()
        await of(kept).put("x", 1)
        assert await of(kept).get("x") == 1


async def test_not_at_every_operation(kept: Storage, path: Path) -> None:
    """A file that is no store is looked at once in a while, and not for each that asks."""
    write(path, b"x" * 5000)
    with pytest.raises(Unavailable, match="file is not a database"):
        await of(kept).get("x")
    os.unlink(path)  # noqa: PTH108  small, and in a test
    with pytest.raises(Unavailable, match="file is not a database"):
        await of(kept).get("x")
    kept._again = 0.0
    assert await of(kept).get("x") is None


def read(path: Path) -> bytes:
    """All that is in a file."""
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    """Put this in its place."""
    path.write_bytes(content)


def damaged(path: Path) -> None:
    """Write over the pages of a store's values."""
    whole = bytearray(read(path))
    whole[4096:12288] = os.urandom(8192)
    path.write_bytes(whole)


def newer(path: Path) -> None:
    """A file of a later rosey."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")


def another(path: Path) -> None:
    """A file of another program."""
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE quotes (text)")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    (
        (
            lambda path: path.write_bytes(b"SQLite format 4\0" + bytes(9000)),
            "is damaged, and nothing is written to it: ",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:-5000]), "is damaged, and nothing is written to it: "),
        (damaged, "is damaged, and nothing is written to it: "),
        (
            newer,
            "was written by a newer rosey (its tables have version 2, this rosey knows 1); install that one again",
        ),
        (another, "is a database of another program's; move it away"),
    ),
)
async def test_what_is_no_store(path: Path, spoil: Any, reason: str) -> None:
    """It is not written to, the error names it and what to do, and a good file in its place serves."""
    async with running(path) as kept:
        for number in range(50):
            await of(kept).put(f"{number}", "x" * 1000)
    good = read(path)
    spoil(path)
    before = read(path)
    async with running(path) as kept:
        for _ in range(2):
            for work in (of(kept).put("x", 1), of(kept).get("x")):
                with pytest.raises(Unavailable) as caught:
                    await work
                assert str(path) in str(caught.value)
                assert reason in str(caught.value)
                kept._again = 0.0
        assert read(path) == before
        write(path, good)
        assert await of(kept).get("7") == "x" * 1000


async def test_damage_while_it_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that make no sense any more are an error that says so, and from then on nothing is written."""
    async with running(path) as kept:
        for number in range(500):
            await of(kept).put(f"{number}", "x" * 1000)
        await kept.checkpoint()
        assert kept._file is not None
        await kept._file._db.execute_fetchall("PRAGMA shrink_memory")
        whole = read(path)
        write(path, whole[:8192] + os.urandom(len(whole) - 8192))
        with pytest.raises(Unavailable, match="is damaged"):
            await of(kept).put("x" * 100, 1)
        before = read(path)
        kept._again = 0.0
        with pytest.raises(Unavailable, match="is damaged"):
            await of(kept).put("y" * 100, 1)
        assert read(path) == before


async def test_who_does_not_wait(kept: Storage) -> None:
    """What nobody waits for any more, and was not begun, is not done; the others are."""
    store = of(kept)
    tasks = [asyncio.create_task(store.add("count")) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[:5]:
        task.cancel()
    await asyncio.wait(tasks)
    assert await store.get("count") == 5


async def test_too_late(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer is an error for who asks, and what nobody waits for is not done later."""
    monkeypatch.setattr(storage, "SECONDS", 0.01)
    kept = Storage(path, clock=Clock(), log=log.get("test"))  # nobody runs it
    with pytest.raises(Unavailable, match="did not answer within"):
        await of(kept).put("x", 1)
    assert not kept._waiting


async def test_a_task_that_is_ended_and_begun_again(path: Path) -> None:
    """What was under way says that it is not known what became of it; what waits, and what comes, is done."""
    kept = Storage(path, clock=Clock(), log=log.get("test"))
    first = asyncio.create_task(kept.run())
    asking = asyncio.create_task(of(kept).put("x", 1))
    await begun(kept)
    later = asyncio.create_task(of(kept).put("y", 2))
    await asyncio.sleep(0)
    kept._news.clear()  # nobody is told twice of what waits
    first.cancel()
    with pytest.raises(Unavailable, match="is not known"):
        await asking
    await asyncio.wait((first,))
    second = asyncio.create_task(kept.run())
    await later
    assert await of(kept).get("y") == 2
    second.cancel()
    await asyncio.wait((second,))


async def begun(kept: Storage) -> None:
    """Wait until what waits was taken up."""
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while kept._waiting:  # noqa: ASYNC110  the task that takes it tells nobody
            await asyncio.sleep(0)


# --- what the owner wants ---


async def test_find_and_erase(kept: Storage, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text is found in keys and values, in capitals or not; after erasing, its bytes are in no file."""
    monkeypatch.setattr(file, "PAGE", 3)
    name = "Canary-Person"
    for number in range(10):
        await of(kept).put(f"noise {number}", "x" * 2000)
    await of(kept).put(f"seen:{name}", 1)
    await of(kept, channel="").put("a", {"by": [name.upper()]})
    await of(kept, "other").put("b", name.lower() * 100)
    await of(kept, "other").put("quoted", 'say "ß" \\ and\n')
    found = await kept.find("cANARY-pERSON")
    assert found == [Place("dice", "", "a"), Place("dice", "cytube", f"seen:{name}"), Place("other", "cytube", "b")]
    assert await kept.find('"SS" \\ AND') == [Place("other", "cytube", "quoted")]
    assert await kept.find("") == await kept.find("\ud800") == await kept.find("%") == []
    assert await kept.erase(found) == 3
    assert await kept.erase(found) == 0
    await kept.checkpoint()
    for each in path.parent.iterdir():
        assert name.lower().encode() not in each.read_bytes().lower(), each
    assert path.with_name("store.db-wal").stat().st_size == 0
    assert len(await of(kept).list()) == 10


async def test_a_checkpoint_beside_a_reader(kept: Storage, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody reads in the file: it says that bytes may be left."""
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.01)
    await of(kept).put("x", 1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN")
        shell.execute("SELECT * FROM item").fetchall()
        await of(kept).put("x", 2)
        with pytest.raises(Unavailable, match="another program reads"):
            await kept.checkpoint()
    await kept.checkpoint()


def test_nothing_is_made_before_its_use(tmp_path: Path) -> None:
    """A daemon whose plugins keep nothing has no file, and has not imported SQLite: see test_daemon for that."""
    Storage(tmp_path / "store.db", clock=Clock(), log=log.get("test"))
    assert list(tmp_path.iterdir()) == []
