"""The file of the plugin `database`: its shape, damage, kills, and what is not there any more."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from rosey_core.api import Metadata, NotReady, PluginError
from rosey_core.api import events as ev
from rosey_plugins.database import Database, forgetting, opening, schema, upkeep
from rosey_plugins.database.reader import Reader
from rosey_plugins.database.schema import MIGRATIONS, Migration, applied, migrate
from tests.database_place import Place, ask, contents, context, event, line, listed, running, write


async def fill(place: Place, lines: int = 20) -> None:
    """Run the plugin over some lines."""
    async with running(place) as plugin:
        await write(plugin, place, *(line("bob", f"line {i}", 100.0 + i, seq=i + 1) for i in range(lines)))


# --- the shape ---------------------------------------------------------------------------------------------

TWO = (Migration(1, "CREATE TABLE a (x)"), Migration(2, "ALTER TABLE a ADD COLUMN y DEFAULT 7"))


def test_migrations(tmp_path: Path) -> None:
    """Each runs once, in order; one that fails leaves what was before."""
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    assert applied(connection, TWO) == 0
    migrate(connection, 5.0, TWO[:1])
    connection.execute("INSERT INTO a VALUES (1)")
    broken = (*TWO[:1], Migration(2, "ALTER TABLE a ADD COLUMN y; SELECT nonsense FROM nowhere"))
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, 6.0, broken)
    assert applied(connection, TWO) == 1
    migrate(connection, 6.0, TWO)
    migrate(connection, 7.0, TWO)
    assert connection.execute("SELECT * FROM a").fetchall() == [(1, 7)]
    assert connection.execute("SELECT number, applied_at FROM migrations").fetchall() == [(1, 5.0), (2, 6.0)]
    with pytest.raises(
        PluginError, match=r"newer rosey .its tables have shape 2, this one knows 1.: install that one"
    ):
        applied(connection, TWO[:1])
    with pytest.raises(PluginError, match="another migration 2 than this rosey has"):
        migrate(connection, 8.0, (TWO[0], Migration(2, "ALTER TABLE a ADD COLUMN z")))
    connection.close()


def test_published_migrations_stay(tmp_path: Path) -> None:
    """What users have in their files: a number here changes only with a new migration behind it."""
    assert [migration.number for migration in MIGRATIONS] == [1, 2]
    assert [migration.checksum for migration in MIGRATIONS] == [
        "4f2d0656121c99a1094f1159007ec19d",
        "89e31ab1f9eb8602a5a50babf0f58457",
    ]
    with opening.writing(tmp_path / "x.db") as connection:
        migrate(connection, 1.0)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert set(schema.TABLES) <= tables


async def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """It says how to go back, and the file stays as it is."""
    place = Place(tmp_path)
    await fill(place)
    ask(tmp_path, "INSERT INTO migrations VALUES (3, 'x', 1)")
    before = (tmp_path / "database.db").read_bytes()
    with pytest.raises(PluginError, match=r"database\.db was written by a newer rosey .* `rosey db restore FILE`"):
        async with running(Place(tmp_path)):
            pass
    assert (tmp_path / "database.db").read_bytes() == before


async def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    """An older bot's, for one."""
    ask(tmp_path, "CREATE TABLE user_stats (username)")
    with pytest.raises(PluginError, match=r"is a database of another program: .*`rosey db import`"):
        async with running(Place(tmp_path)):
            pass


# --- damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", (0, 20, 4096, 40_960))
async def test_a_damaged_file_is_never_written(tmp_path: Path, where: int) -> None:
    """It is refused with what to do, and each byte stays; damage at its head, in its list of tables, in a table."""
    await fill(Place(tmp_path), 2000)
    path = tmp_path / "database.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:where] + b"\xa5" * 3000 + whole[where + 3000 :])
    damaged = path.read_bytes()
    with pytest.raises(PluginError, match=r"database\.db is damaged \(.*\), and stays as it is: `rosey db check`"):
        async with running(Place(tmp_path)):
            pass
    assert path.read_bytes() == damaged


async def test_a_big_file_is_read_while_it_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an end that was no clean one: questions are answered at once, events wait until it passed."""
    await fill(Place(tmp_path))
    monkeypatch.setattr(opening, "SMALL", 1)
    clean = Place(tmp_path)
    async with running(clean):
        assert clean.events == []

    ask(tmp_path, "INSERT INTO writers VALUES ('gone', 1, 'elsewhere', 0, 0)")
    place = Place(tmp_path)
    async with running(place) as plugin:
        assert place.events == ["database.checking"]
        assert len((await plugin.recent_chat(context(place))).messages) == 20
        with pytest.raises(NotReady, match="can't be written: it is checked"):
            await write(plugin, place, line("eve", "new"))
        await place.tasks[0]
        await write(plugin, place, line("eve", "new"))
    assert len(contents(tmp_path)["chat"]) == 21


async def test_a_big_damaged_file_stays_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as it can be read; events wait for the owner, and nothing is written."""
    await fill(Place(tmp_path), 2000)
    ask(tmp_path, "INSERT INTO writers VALUES ('gone', 1, 'elsewhere', 0, 0)")
    path = tmp_path / "database.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:40_000] + b"\xa5" * 3000 + whole[43_000:])
    damaged = path.read_bytes()
    monkeypatch.setattr(opening, "SMALL", 1)
    place = Place(tmp_path)
    async with running(place) as plugin:
        await place.tasks[0]
        assert place.events == ["database.checking", "database.damaged"]
        assert (await plugin.user_stats(context(place), "bob")).total_chat_lines == 2000
        with pytest.raises(NotReady, match="is damaged"):
            await write(plugin, place, line("eve", "new"))
    assert path.read_bytes() == damaged


async def test_damage_that_is_found_while_it_runs(tmp_path: Path) -> None:
    """Nothing more is written."""
    place = Place(tmp_path)
    async with running(place) as plugin:
        assert plugin._writer is not None
        error = plugin._writer._fault(sqlite3.DatabaseError("database disk image is malformed"))
        assert isinstance(error, NotReady)
        with pytest.raises(NotReady, match=r"the database is damaged .*: rosey db check says more"):
            await write(plugin, place, line("bob", "x"))


async def test_a_start_that_failed_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same instance starts again later, is no second copy of itself, and nobody else is locked out meanwhile."""
    place = Place(tmp_path)
    plugin = Database(place.settings)

    async def failing(*_: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "open", failing)
        with pytest.raises(NotReady, match="unable to open database file"):
            await plugin.start(context(place))
    lock = opening.hold(tmp_path, alone=True)
    assert lock is not None
    with pytest.raises(NotReady, match="somebody restores the database"):
        await plugin.start(context(place))
    lock.close()
    await plugin.start(context(place))
    await write(plugin, place, line("bob", "x"))
    await plugin.stop()
    for task in place.tasks:
        task.cancel()
    assert place.events == []
    assert ask(tmp_path, "SELECT * FROM writers") == []


READ_ONLY = """
import asyncio, concurrent.futures.thread, os, pathlib, tempfile
from rosey_core.api import NotReady
from rosey_plugins.database import opening
from tests.database_place import Place, line, running, write

async def main():
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as directory:
        place = Place(pathlib.Path(directory))
        path = place.directory / "database.db"
        async with running(place) as plugin:
            await write(plugin, place, line("bob", "x"))
        opening.parts(path)[1].touch(0o600)
        if root:  # who may write everything
            for part in (place.directory, path, place.directory / "database.lock"):
                os.chown(part, 65534, 65534)
            os.setuid(65534)
            try:
                async with running(place) as plugin:
                    pass
            except NotReady as error:
                print(error)
        opening.parts(path)[1].unlink()
        path.chmod(0o444)
        opening.check(path)
        print(*(f"{part.stat().st_mode & 0o777:o}" for part in opening.parts(path)))
        async with running(place) as plugin:
            await write(plugin, place, line("bob", "y"))
            print(*(f"{part.stat().st_mode & 0o777:o}" for part in opening.parts(path)))

asyncio.run(main())
"""


def test_files_that_may_not_be_written() -> None:
    """Another user's is named with what to do; one's own read-only one, and those that SQLite made so, are mended."""
    told = subprocess.run((sys.executable, "-c", READ_ONLY), capture_output=True, text=True, check=True)
    *others, before, after = told.stdout.splitlines()
    for text in others:
        assert re.fullmatch(r"/\S+/database.db-wal is root's with mode 0600, and has to be \S+'s: chown it", text)
    assert (len(others), before, after) == (os.geteuid() == 0, "444 444 444", "600 600 600")


async def test_a_file_without_bytes_is_told(tmp_path: Path) -> None:
    """It is begun anew, and that is not kept quiet."""
    (tmp_path / "database.db").touch()
    place = Place(tmp_path)
    async with running(place):
        assert place.events == ["database.empty"]


# --- kills -------------------------------------------------------------------------------------------------

CHILD = """
import asyncio, sys
from pathlib import Path
from tests.database_place import Place, line, listed, event, running, write

async def main():
    place = Place(Path(sys.argv[1]))
    async with running(place) as plugin:
        seq = int(sys.argv[2])
        while True:
            events = [line(f"u{n % 7}", f"line {n}", n, seq=n, identity=f"n{n}") for n in range(seq, seq + 20)]
            await write(plugin, place, *events)
            seq += 20
            print(seq, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
def test_killed_at_any_point(tmp_path: Path) -> None:
    """Whole, and without a gap: what was said to be written is there, once, and a beginning of what was not."""
    dice = random.Random(7)  # noqa: S311  no secret
    done = 1
    for _ in range(20):
        command = (sys.executable, "-c", CHILD, str(tmp_path), str(done))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(dice.randint(1, 30)):
                done = int(child.stdout.readline())
            for _ in range(dice.randint(0, 3000)):
                pass
            child.send_signal(signal.SIGKILL)
            for rest in child.stdout.read().split():
                done = int(rest)
        assert opening.check(tmp_path / "database.db", whole=True) == []
        rows = [seq for (seq,) in ask(tmp_path, "SELECT seq FROM chat ORDER BY seq")]
        assert rows == list(range(1, len(rows) + 1))
        assert done <= len(rows) + 1 <= done + 20
        assert ask(tmp_path, "SELECT sum(lines) FROM users") == [(len(rows),)]


# --- what goes ---------------------------------------------------------------------------------------------


async def test_retention(tmp_path: Path) -> None:
    """Each table by its setting, each channel by its own; the index too, and a user's numbers stay."""
    one = Place(tmp_path, "one", keep_chat=1, keep_media=0.5, keep_sessions=1, keep_user_counts=1)
    two = Place(tmp_path, "two", keep_status=0)
    now, day = 10 * 86400.0, 86400.0
    async with running(one) as plugin:
        assert plugin._writer is not None
        writer = plugin._writer
        for place in (one, two):
            name = place.channel_name
            old = [line("bob", f"old{i}", now - 2 * day + i, channel=name) for i in range(600)]
            for at in range(0, 600, 200):
                await write(plugin, place, *old[at : at + 200])
            media = ev.Media("a", "yt", "A")
            await write(
                plugin,
                place,
                line("bob", "young", now, channel=name),
                event(ev.UserJoined("eve"), now - 3 * day, channel=name),
                event(ev.UserLeft("eve"), now - 3 * day + 60, channel=name),
                event(ev.UserJoined("eve"), now - 2 * day, channel=name),
                event(ev.MediaPlayed(media), now - 0.6 * day, channel=name),
                event(ev.StatsUsercount(3, 2), now - 2 * day, channel=name),
                event(ev.StatsHighWater(3, 2), now - 2 * day, channel=name),
                event(ev.StatsStatus(1, joined=True, events=1), now - 2 * day, channel=name),
            )
        while await upkeep.index_lines(writer):
            pass
        await upkeep.trim(writer, {"one": one.settings, "two": two.settings}, now)
        ctx = context(one)
        assert [x.message for x in (await plugin.recent_chat(ctx)).messages] == ["young"]
        assert not (await plugin.search_chat(ctx, "old1")).messages
        assert (await plugin.search_chat(ctx, "young")).messages
        assert len((await plugin.search_chat(context(two), "old*", limit=500)).messages) == 500
        assert (await plugin.user_stats(ctx, "bob")).total_chat_lines == 601
        assert (await plugin.user_stats(ctx, "eve")).total_time_connected == 60
        await writer.connection.execute("INSERT INTO chat_fts (chat_fts, rank) VALUES ('integrity-check', 1)")
    kept = contents(tmp_path)
    left = {table: [row[0] for row in kept[table]] for table in ("media", "counts", "high_water", "status")}
    assert left == {"media": ["two"], "counts": ["two"], "high_water": ["one", "two"], "status": ["one", "two"]}
    assert [row for row in kept["sessions"] if row[0] == "one"] == [("one", "eve", now - 2 * day, None)]


def files(directory: Path) -> bytes:
    """All bytes of the database's files."""
    return b"".join(path.read_bytes() for path in sorted(directory.glob("database.*")) if path.is_file())


@pytest.mark.parametrize("lines", (3, 900))
async def test_forget(tmp_path: Path, lines: int) -> None:
    """Nothing of a user is in any byte of the files; what others said stays, and is found."""
    place = Place(tmp_path, private_messages=True)
    other = Place(tmp_path, "other")
    dice = random.Random(lines)  # noqa: S311  no secret
    async with running(place) as plugin:
        assert plugin._writer is not None
        writer = plugin._writer
        await write(plugin, place, event(listed("Zaphodius", "bob"), 10.0))
        for i in range(lines):
            words = " ".join(f"zqx{dice.randrange(10**6):06}" for _ in range(dice.randint(1, 30)))
            by = line("zaphodius", f"{words} secretive", 20.0 + i)
            await write(plugin, place, by, line("bob", f"common words {i} " * dice.randint(1, 9), 20.0 + i))
            if i % 50 == 0:
                await upkeep.index_lines(writer)
        await write(
            plugin,
            place,
            event(ev.ChatPm("Rosey", "ZAPHODIUS", "zqxprivate")),
            event(ev.ChatPm("bob", "Rosey", "stays")),
            event(ev.MediaPlayed(ev.Media("a", "yt", "A film"), queued_by="Zaphodius")),
            event(listed("zaphodius", page=1, pages=2)),
        )
        await write(plugin, other, line("ZAPHODIUS", "zqxother", channel="other"))
        said = [f"{name} joined (aliases: {other})" for name, other in (("eve", "zaphodius,zqxold"), ("eve", "kim"))]
        said += ["Zaphodius joined", "zaphodius2 joined", *(f"x{i} joined" for i in range(lines))]
        server = Metadata(server=True)
        await write(plugin, place, *(line("", text, 10.0 + i, metadata=server) for i, text in enumerate(said)))
        while await upkeep.index_lines(writer):
            pass
        told = await plugin.export("zaphodius")
        assert len(told["chat"]) == lines + 1
        assert [len(told[name]) for name in ("users", "private_messages", "media_queued")] == [2, 1, 1]
        assert [one["text"] for one in told["server_lines"]] == [said[0], said[2]]
        assert b"zqx" in files(tmp_path)

        await plugin.forget(context(place), "Zaphodius")
        left = files(tmp_path).lower()
        assert b"zaphodius" not in left.replace(b"zaphodius2", b"")
        assert b"zqx" not in left
        assert b"secretive" not in left
        spoke = [text for (text,) in ask(tmp_path, "SELECT text FROM chat WHERE user IS NULL ORDER BY id")]
        assert spoke == ["eve joined (aliases: kim)", *said[3:]]
        assert not any((await plugin.export("zaphodius")).values())
        assert not (await plugin.user_stats(context(place), "zaphodius")).found
        assert len((await plugin.search_chat(context(place), "common words", limit=500)).messages) == min(lines, 500)
        assert (await plugin.media_history(context(place))).media[0].queued_by == ""
        await writer.connection.execute("INSERT INTO chat_fts (chat_fts, rank) VALUES ('integrity-check', 1)")
        await write(plugin, place, line("Zaphodius", "back again"))
        assert (await plugin.user_stats(context(place), "zaphodius")).total_chat_lines == 1
    assert [row[3] for row in contents(tmp_path)["pms"]] == ["stays"]
    assert opening.check(tmp_path / "database.db", whole=True) == []


async def test_forget_while_somebody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long reader keeps older pages in the log: that is told, and done by the next try."""
    place = Place(tmp_path)
    monkeypatch.setattr(forgetting, "TRIES", 1)
    async with running(place) as plugin:
        await write(plugin, place, line("bob", "x"))
        reader = sqlite3.connect(tmp_path / "database.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM chat").fetchall()
        assert plugin._writer is not None
        await plugin._writer.connection.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(NotReady, match="what was deleted is "):
            await plugin.forget(context(place), "bob")
        reader.close()
        await plugin.forget(context(place), "bob")
        assert b"bob" not in files(tmp_path)


async def test_events_go_on_while_a_user_is_forgotten(tmp_path: Path) -> None:
    """Lists are written between its steps."""
    place = Place(tmp_path)
    async with running(place) as plugin:
        for at in range(0, 2000, 250):
            await write(plugin, place, *(line("bob", f"line {at + i}", at + i) for i in range(250)))
        forgetting_bob = asyncio.create_task(plugin.forget(context(place), "bob"))
        written = 0
        while not forgetting_bob.done():
            await write(plugin, place, line("eve", "meanwhile"))
            written += 1
        await forgetting_bob
        assert written > 3
        assert {row[1] for row in contents(tmp_path)["chat"]} == {"eve"}
