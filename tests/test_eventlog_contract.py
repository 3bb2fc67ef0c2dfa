"""What an engine of the event log has to do, whichever it is: each test runs over all there are."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosey_core.eventlog.engine import Batch, Cursor, Dead, Engine, Lost, Newest, Opened, Row
from rosey_core.eventlog.sqlite import SqliteLog
from rosey_core.testing.eventlog import MemoryLog

Make = Callable[[Path], Engine]


def in_memory() -> Make:
    """One engine that is the same however often it is made: what it holds outlives its closing."""
    engine = MemoryLog()
    return lambda _: engine


def on_disk() -> Make:
    """Another object for the same file each time."""
    return lambda directory: SqliteLog(directory / "log" / "events.db")


ENGINES = {"memory": in_memory, "sqlite": on_disk}


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest) -> Make:
    """Makes the engine of a test; made again, it finds what was there."""
    made: Make = ENGINES[request.param]()
    return made


async def opened(make: Make, directory: Path) -> Opened:
    """What one more life of the engine finds."""
    engine = make(directory)
    found = await engine.open()
    await engine.close()
    return found


def row(seq: int, *, channel: str = "cytube", user: str = "", written: float = 0.0, body: bytes = b"{}") -> Row:
    """An event."""
    return Row(channel, seq, "chat.message", user, written, body)


def dead(seq: int, *, plugin: str = "one", tries: int = 3) -> Dead:
    """A dead letter."""
    return Dead(plugin, "cytube", seq, "chat.message", tries, "ValueError", 5.0, b'{"username":"Alice"}')


async def test_rows_come_back_in_order(make: Make, tmp_path: Path) -> None:
    """Rows of each channel, behind a number, as many as asked for; also after it was opened anew."""
    engine = make(tmp_path)
    assert (await engine.open()).heads == {}
    rows = [row(seq, body=b"%d" % seq) for seq in (1, 2, 5, 9)]
    await engine.commit(Batch([*rows, row(3, channel="other")]))
    assert list(await engine.read("cytube", 0, 10)) == rows
    assert list(await engine.read("cytube", 2, 1)) == [rows[2]]
    assert list(await engine.read("cytube", 9, 10)) == []
    assert list(await engine.read("nowhere", 0, 10)) == []
    await engine.close()
    again = make(tmp_path)
    assert (await again.open()).heads == {"cytube": 9, "other": 3}
    assert list(await again.read("cytube", 0, 10)) == rows
    await again.close()


async def test_positions_and_newest_lines(make: Make, tmp_path: Path) -> None:
    """Cursors and the newest chat lines are what was written last."""
    engine = make(tmp_path)
    await engine.open()
    await engine.commit(Batch(cursors=[Cursor("one", "cytube", 1), Cursor("two", "cytube", 7)]))
    await engine.commit(Batch(cursors=[Cursor("one", "cytube", 4)], newest=[Newest("cytube", 1, ("x",))]))
    await engine.commit(Batch(newest=[Newest("cytube", 2, ("y", "z"))]))
    await engine.close()
    found = await opened(make, tmp_path)
    assert sorted(found.cursors) == [Cursor("one", "cytube", 4), Cursor("two", "cytube", 7)]
    assert found.newest == [Newest("cytube", 2, ("y", "z"))]


async def test_a_claim_is_first_once(make: Make, tmp_path: Path) -> None:
    """Of one id the first claim counts, in one batch, in the next, and in the next life."""
    engine = make(tmp_path)
    await engine.open()
    assert await engine.commit(Batch(claims=[(b"a", 1.0), (b"a", 1.0), (b"b", 1.0)])) == [True, False, True]
    assert await engine.commit(Batch(claims=[(b"a", 2.0)])) == [False]
    await engine.close()
    again = make(tmp_path)
    await again.open()
    assert await again.commit(Batch(claims=[(b"b", 3.0), (b"c", 3.0)])) == [False, True]
    await again.trim(2.5, 1 << 30)
    assert await again.commit(Batch(claims=[(b"a", 4.0), (b"c", 4.0)])) == [True, False]
    await again.close()


async def test_dead_letters(make: Make, tmp_path: Path) -> None:
    """They are there until they rise, each plugin's own, the newest of the same event."""
    engine = make(tmp_path)
    await engine.open()
    await engine.commit(Batch(dead=[dead(2), dead(1), dead(1, plugin="two")]))
    await engine.commit(Batch(dead=[dead(2, tries=4)]))
    assert await engine.dead("one") == [dead(1), dead(2, tries=4)]
    await engine.commit(Batch(risen=[("one", "cytube", 1), ("one", "cytube", 77)]))
    assert await engine.dead("one") == [dead(2, tries=4)]
    assert await engine.dead("two") == [dead(1, plugin="two")]
    await engine.close()


async def test_trimming_by_age_is_told_to_who_is_behind(make: Make, tmp_path: Path) -> None:
    """What is old goes; a plugin that had not read it is told how much, until its cursor is past it."""
    engine = make(tmp_path)
    await engine.open()
    rows = [row(seq, written=float(seq)) for seq in range(1, 11)]
    await engine.commit(Batch(rows, [Cursor("behind", "cytube", 3), Cursor("ahead", "cytube", 8)]))
    assert await engine.trim(1.0, 1 << 30) == []
    assert await engine.trim(7.0, 1 << 30) == [Lost("behind", "cytube", 3, 4, 6)]
    assert await engine.trim(8.0, 1 << 30) == [Lost("behind", "cytube", 1, 4, 7)]
    assert [one.seq for one in await engine.read("cytube", 0, 100)] == [8, 9, 10]
    await engine.close()
    again = make(tmp_path)
    assert (await again.open()).lost == [Lost("behind", "cytube", 4, 4, 7)]
    await again.commit(Batch(cursors=[Cursor("behind", "cytube", 7)]))
    await again.close()
    assert (await opened(make, tmp_path)).lost == []


async def test_trimming_by_size_takes_the_oldest(make: Make, tmp_path: Path) -> None:
    """The whole stays below the bound, over channels, and the newest stay."""
    engine = make(tmp_path)
    await engine.open()
    for start in range(0, 6_000, 500):
        rows = [
            row(seq, channel=f"c{seq % 2}", written=float(seq), body=b"x" * 500) for seq in range(start, start + 500)
        ]
        await engine.commit(Batch(rows))
    bound = 1 << 20
    await engine.trim(-1.0, bound)
    assert await engine.size() <= bound
    left = [one.seq for channel in ("c0", "c1") for one in await engine.read(channel, -1, 10_000)]
    assert 5_998 in left
    assert 5_999 in left
    assert 0 not in left
    assert len(left) > 500
    await engine.close()


async def test_who_is_removed_leaves_nothing(make: Make, tmp_path: Path) -> None:
    """Cursors and dead letters of plugins that are not there any more go, and no other's."""
    engine = make(tmp_path)
    await engine.open()
    cursors = [Cursor("one", "cytube", 1), Cursor("two", "cytube", 1)]
    await engine.commit(Batch([row(1)], cursors, dead=[dead(1), dead(1, plugin="two")]))
    await engine.retain(["two", "three"])
    assert await engine.dead("one") == []
    assert len(await engine.dead("two")) == 1
    await engine.close()
    assert [one.plugin for one in (await opened(make, tmp_path)).cursors] == ["two"]


async def test_what_is_about_a_user(make: Make, tmp_path: Path) -> None:
    """Every row that has the name in it, in any capitals; dead letters, too. Rewriting changes and deletes."""
    engine = make(tmp_path)
    await engine.open()
    named = [
        row(1, user="alice", body=b'{"username":"Alice","text":"hi"}'),
        row(2, body=b'{"item":{"queued_by":"ALICE"}}'),
        row(3, body=b'{"text":"alice is nice"}'),
        row(4, channel="other", user="alice", body=b'{"username":"alice"}'),
    ]
    await engine.commit(Batch(named, dead=[dead(9)]))
    found: list[tuple[str, int]] = []
    await engine.about("aLice", lambda one: found.append((one.channel, one.seq)))
    assert sorted(found) == [("cytube", 1), ("cytube", 2), ("cytube", 3), ("cytube", 9), ("other", 4)]
    changed = named[1]._replace(body=b'{"item":{"queued_by":""}}')
    await engine.rewrite([changed], [("cytube", 1), ("other", 4), ("cytube", 9)])
    assert list(await engine.read("cytube", 0, 10)) == [changed, named[2]]
    assert list(await engine.read("other", 0, 10)) == []
    assert await engine.dead("one") == []
    await engine.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(("append", "move", "trim", "open")), min_size=3, max_size=25))
@pytest.mark.parametrize("kind", ENGINES)
def test_every_event_is_read_or_told_to_be_lost(kind: str, steps: list[str]) -> None:
    """Whatever is appended, trimmed and reopened: a reader hears of each event behind its cursor, or of its loss."""

    async def scenario(directory: Path) -> None:
        make = ENGINES[kind]()
        engine = make(directory)
        await engine.open()
        head = cursor = handled = 0
        for number, step in enumerate(steps):
            match step:
                case "append":
                    rows = [row(head + 1 + n, written=float(head + 1 + n)) for n in range(3)]
                    await engine.commit(Batch(rows, [Cursor("one", "cytube", cursor)]))
                    head += 3
                case "move":
                    rows = list(await engine.read("cytube", cursor, 2))
                    handled += len(rows)
                    if rows:
                        cursor = rows[-1].seq
                        await engine.commit(Batch(cursors=[Cursor("one", "cytube", cursor)]))
                case "trim":
                    await engine.commit(Batch(cursors=[Cursor("one", "cytube", cursor)]))
                    told = await engine.trim(head - number % 5, 1 << 30)
                    lost = sum(one.number for one in told)
                    if told:
                        handled += lost
                        cursor = max(cursor, told[0].last)
                        await engine.commit(Batch(cursors=[Cursor("one", "cytube", cursor)]))
                case "open":
                    await engine.close()
                    engine = make(directory)
                    assert (await engine.open()).lost == []
        assert handled + len(await engine.read("cytube", cursor, 1_000)) == head
        await engine.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(scenario(Path(directory)))
