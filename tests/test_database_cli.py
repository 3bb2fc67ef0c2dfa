"""`rosey db`: what it does to real files, and what it says."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from rosey_core.api import events as ev
from rosey_core.cli.errors import exit_codes
from rosey_plugins.database.cli import TABLES, db
from rosey_plugins.database.dump import EXPORTS
from tests.database_place import Place, ask, contents, context, event, line, listed, running, write
from tests.written import SMALL
from tests.written import write as write_text

TWO = SMALL + '[channels.other]\nroom = "x"\n'


def rosey(*args: str) -> Result:
    """Run a verb in this process, with exit codes as of `rosey`."""

    def call() -> None:
        with exit_codes():
            db(list(args), standalone_mode=False)

    command = click.Command("rosey", callback=call)
    return CliRunner().invoke(command)


@pytest.fixture
def at(home: Path) -> Path:
    """The plugin's directory below a configuration that stands in the current one."""
    write_text(TWO)
    directory = home / "rosey-state" / "plugins" / "database"
    directory.mkdir(parents=True)
    return directory


def fill(directory: Path, *texts: str) -> None:
    """Let the plugin write some lines."""

    async def run() -> None:
        place = Place(directory)
        async with running(place) as plugin:
            said = [line("bob", text, 10.0 + i) for i, text in enumerate(texts)]
            await write(plugin, place, event(listed("bob"), 5.0), *said)

    asyncio.run(run())


def mode(path: Path) -> int:
    """Who may read and write a file."""
    return path.stat().st_mode & 0o777


def names(directory: Path, pattern: str) -> list[str]:
    """The files that match."""
    return sorted(path.name for path in directory.glob(pattern))


def test_without_a_database(at: Path) -> None:
    """Each verb says that there is none."""
    for verb in (("check",), ("backup", "x"), ("vacuum",), ("export",)):
        result = rosey(*verb)
        assert result.exit_code == 1
        assert "database.db is not there" in result.output
    assert rosey("restore", "nosuch").output.startswith("rosey: nosuch is not there; nothing was")


def test_check(at: Path) -> None:
    """Whole: the counts. Damaged: what is wrong and what to do, and exit code 1."""
    fill(at, *(f"line {i}" for i in range(2000)))
    result = rosey("check")
    assert result.exit_code == 0
    assert "is whole; its tables have shape 2" in result.output
    assert "chat: 2000" in result.output
    path = at / "database.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:40_960] + b"\xa5" * 3000 + whole[43_960:])
    damaged = path.read_bytes()
    result = rosey("check")
    assert result.exit_code == 1
    assert "database disk image is malformed" in result.output
    assert "is damaged. Go back to a backup: rosey db restore FILE" in result.output
    assert path.read_bytes() == damaged
    path.write_bytes(b"no database" * 1000)
    assert rosey("check").exit_code == 1


async def test_backup_while_the_bot_runs_and_restore(at: Path) -> None:
    """The copy is whole and of one moment; it goes back only when nobody has the file, and the old one is kept."""
    place = Place(at)
    async with running(place) as plugin:
        await write(plugin, place, line("bob", "one"))
        result = rosey("backup", "copy.db")
        assert result.output == "copy.db is a whole copy, with 1 lines of 1 users\n"
        assert mode(Path("copy.db")) == 0o600
        assert names(Path(), "*copy.db*") == ["copy.db"]
        await write(plugin, place, line("bob", "two"))
        refused = rosey("restore", "copy.db")
        assert refused.exit_code == 1
        assert "is in use, and stays as it is: end rosey first" in refused.output
    assert "is there already, and stays as it is" in rosey("backup", "copy.db").output
    told = rosey("restore", "copy.db").output
    assert len(contents(at)["chat"]) == 1
    (kept,) = names(at, "database-*.db")
    assert f"the old one is kept as {at / kept}" in told
    assert "who was forgotten since that backup is in it again: rosey privacy forget USER" in told
    old = sqlite3.connect(at / kept)
    assert old.execute("SELECT count(*) FROM chat").fetchone() == (2,)
    old.close()
    again = Place(at)
    async with running(again) as plugin:
        assert again.events == []
        assert [one.message for one in (await plugin.recent_chat(context(again))).messages] == ["one"]


MAIN = """
import resource, sys
from rosey_core.cli.errors import exit_codes
from rosey_plugins.database.cli import db
if int(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
with exit_codes():
    db(sys.argv[2:], standalone_mode=False)
"""


def limited(size: int, *args: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run a verb in a process whose files may have so many bytes, as on a disk that is full then; 0 is any."""
    command = (sys.executable, "-c", MAIN, str(size), *args)
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **kwargs)


def test_what_cannot_be_written_is_named(at: Path) -> None:
    """Where a copy can't be: a place that is not there, one that may not be written, a disk that is full."""
    fill(at, *(f"line {i} {'x' * 500}" for i in range(500)))
    for verb, why in (
        (("backup", "/nowhere/x.db"), "/nowhere/x.db can't be written: No such file or directory"),
        (("backup", "/sys/x.db"), "/sys/x.db can't be written: "),
        (("export", "/nowhere/x"), "/nowhere/x can't be written: No such file or directory"),
    ):
        result = rosey(*verb)
        assert result.exit_code == 1, result.output
        assert result.output.startswith(f"rosey: {why}"), result.output
    rosey("backup", "good.db")
    for verb in (("restore", "good.db"), ("import", "bot.db")):
        sqlite3.connect("bot.db").execute("CREATE TABLE IF NOT EXISTS user_stats (username)")
        result = rosey(*verb, "--file", "/sys/x/database.db")
        assert result.exit_code == 1, result.output
        assert result.output.startswith("rosey: /sys/x/database.db can't be written: "), result.output
    for verb in (("backup", "full.db"), ("export", "full.jsonl")):
        told = limited(100_000, *verb)
        assert told.returncode == 1
        assert told.stderr.startswith(f"rosey: {verb[1]} can't be written: "), told.stderr
        assert names(Path(), "*full*") == []


def test_export_to_standard_output(at: Path) -> None:
    """`-` is that too; a reader that goes ends it quietly, and an output that is full is its own fault."""
    fill(at, *(f"line {i} {'x' * 500}" for i in range(500)))
    assert len(rosey("export", "-").output.splitlines()) == 500
    assert not Path("-").exists()
    with Path("/dev/full").open("w") as full:
        told = limited(0, "export", stdout=full)
    assert (told.returncode, "database.db" in told.stderr) == (1, False)
    assert "its output, or a file of its own, can't be written: No space left" in told.stderr
    gone, out = os.pipe()
    os.close(gone)
    told = limited(0, "export", stdout=out)
    os.close(out)
    assert told.stderr == ""


def test_the_file_of_a_unit(at: Path) -> None:
    """It is elsewhere, so it has to be named, for each verb."""
    fill(at, "one")
    text = '[nats]\nlisten = "127.0.0.1:4222"\n[plugins.database]\nrun = "unit"\nnats_password = { env = "X" }\n'
    write_text(TWO + text)
    for verb in (("check",), ("backup", "x"), ("restore", "x"), ("vacuum",), ("export",), ("import", "x")):
        result = rosey(*verb)
        assert result.exit_code == 1
        assert 'says run = "unit" for the plugin database' in result.output, result.output
        assert "rosey db check --file /var/lib/rosey-plugin/database/database.db" in result.output
    named = at.rename(at.with_name("elsewhere")) / "database.db"
    assert f"{named} is whole" in rosey("check", "--file", str(named)).output


def test_a_bad_backup_is_not_restored(at: Path) -> None:
    """Damaged, of a newer rosey, or no database: nothing changes."""
    fill(at, *(f"line {i}" for i in range(2000)))
    before = (at / "database.db").read_bytes()
    rosey("backup", "good.db")
    raw = Path("good.db").read_bytes()
    Path("bad.db").write_bytes(raw[:40_960] + b"\xa5" * 3000 + raw[43_960:])
    Path("none.db").write_text("no database")
    sqlite3.connect("other.db").execute("CREATE TABLE other (x)")
    with sqlite3.connect("good.db") as newer:
        newer.execute("INSERT INTO migrations VALUES (3, 'x', 1)")
    newer.close()
    for name, why in (
        ("bad", "is not whole"),
        ("none", "none.db is not whole (it does not begin as a database does); nothing was changed"),
        ("other", "other.db is a database of another program; nothing was changed"),
        ("good", "written by a newer rosey"),
    ):
        result = rosey("restore", f"{name}.db")
        assert result.exit_code == 1
        assert why in result.output
        assert "rosey db" not in result.output  # what to do is about the bot's own file
    assert (at / "database.db").read_bytes() == before
    assert list(at.glob("database-*")) == []


def test_vacuum(at: Path) -> None:
    """The file is smaller, and all is there."""
    fill(at, *(f"line {i} {'x' * 500}" for i in range(500)))
    ask(at, "DELETE FROM chat WHERE seq % 2")
    count = ask(at, "SELECT count(*) FROM chat")
    before = (at / "database.db").stat().st_size
    assert f"and had {before}" in rosey("vacuum").output
    assert (at / "database.db").stat().st_size < before
    assert ask(at, "SELECT count(*) FROM chat") == count


def test_export(at: Path) -> None:
    """Every table, in both forms; a line that has everything comes out as it is."""
    odd = 'a "quoted", line\nand \u00e9'
    fill(at, "one", odd)
    lines = [json.loads(text) for text in rosey("export").output.splitlines()]
    assert [(one["username"], one["message"], one["timestamp"]) for one in lines] == [
        ("bob", "one", 10.0),
        ("bob", odd, 11.0),
    ]
    assert rosey("export", "--format", "csv", "out.csv").output == "out.csv has 2 rows of chat\n"
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        assert [row["message"] for row in csv.DictReader(file)] == ["one", odd]
    assert Path("out.csv").stat().st_mode & 0o777 == 0o600
    assert "is there already" in rosey("export", "out.csv").output
    for table in ("users", "sessions", "private_messages", "media", "user_counts", "high_water", "status"):
        for form in ("jsonl", "csv"):
            assert rosey("export", "--table", table, "--format", form).exit_code == 0


# --- import ------------------------------------------------------------------------------------------------

OLDER = """
CREATE TABLE user_stats (username TEXT PRIMARY KEY, first_seen INTEGER, last_seen INTEGER, total_chat_lines INTEGER,
    total_time_connected INTEGER, current_session_start INTEGER);
CREATE TABLE recent_chat (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER, username TEXT, message TEXT);
CREATE TABLE user_count_history (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER, chat_users INTEGER,
    connected_users INTEGER);
CREATE TABLE channel_stats (id INTEGER PRIMARY KEY, max_users INTEGER, max_users_timestamp INTEGER,
    max_connected INTEGER, max_connected_timestamp INTEGER);
INSERT INTO user_stats VALUES ('Bob', 1000, 2000, 50, 600, NULL), ('bob', 900, 1500, 5, 60, NULL),
    ('Eve', 1100, 1200, 7, 70, 1150);
INSERT INTO recent_chat (timestamp, username, message) VALUES (1000, 'Bob', 'ancient words'), (1001, 'eve', 'hello'),
    (1001, 'eve', 'hello');
INSERT INTO user_count_history (timestamp, chat_users, connected_users) VALUES (1000, 3, 9), (1060, 4, 8);
INSERT INTO channel_stats VALUES (1, 12, 1500, 40, 1600);
"""

Older = Callable[[str], None]


@pytest.fixture
def older(at: Path) -> Older:
    """An older bot's file, `bot.db`; to change it."""

    def run(sql: str) -> None:
        connection = sqlite3.connect("bot.db")
        connection.executescript(sql)
        connection.close()

    run(OLDER)
    return run


async def test_import(at: Path, older: Older) -> None:
    """Totals add to what was counted here; once more changes nothing, also after both bots went on."""
    place = Place(at)
    ctx = context(place)
    async with running(place) as plugin:
        await write(plugin, place, line("BOB", "new words", 5000.0), event(ev.StatsUsercount(20, 5), 5000.0))
        told = await asyncio.to_thread(rosey, "import", "bot.db")
        assert told.output.splitlines() == [
            "into the channel cytube:",
            "  user_stats: 2 taken, 0 were here already, 0 left out",
            "  recent_chat: 3 taken, 0 were here already, 0 left out",
            "  user_count_history: 2 taken, 0 were here already, 0 left out",
            "  channel_stats: 1 taken, 0 were here already, 0 left out",
        ]
        bob = await plugin.user_stats(ctx, "bob")
        assert (bob.username, bob.first_seen, bob.last_seen) == ("BOB", 900.0, 5000.0)
        assert (bob.total_chat_lines, bob.total_time_connected) == (56, 660)
        recent = await plugin.recent_chat(ctx)
        assert [one.message for one in recent.messages] == ["ancient words", "hello", "hello", "new words"]
        assert [one.message for one in (await plugin.search_chat(ctx, "ANCIENT")).messages] == ["ancient words"]
        stats = await plugin.channel_stats(ctx)
        assert (stats.max_users, stats.max_users_timestamp) == (12, 1500.0)
        assert (stats.max_connected, stats.max_connected_timestamp) == (40, 1600.0)
        assert [one.connected for one in (await plugin.user_counts(ctx)).counts] == [9, 8, 20]
        assert [one.username for one in (await plugin.top_chatters(ctx)).users] == ["BOB", "Eve"]

        before = contents(at)
        assert (
            "user_stats: 0 taken, 2 were here already" in (await asyncio.to_thread(rosey, "import", "bot.db")).output
        )
        assert contents(at) == before

        await write(plugin, place, line("bob", "newer", 6000.0))
        older(
            "UPDATE user_stats SET total_chat_lines = 60, last_seen = 2100 WHERE username = 'Bob';"
            "DELETE FROM recent_chat WHERE id = 2;"
            "INSERT INTO recent_chat (timestamp, username, message) VALUES (2100, 'Bob', 'late');"
        )
        assert (
            "recent_chat: 1 taken, 2 were here already" in (await asyncio.to_thread(rosey, "import", "bot.db")).output
        )
        assert (await plugin.user_stats(ctx, "bob")).total_chat_lines == 67
        assert len((await plugin.recent_chat(ctx)).messages) == 6
        await plugin.forget(ctx, "bob")
        assert not (await plugin.search_chat(ctx, "ancient")).messages
        assert (await plugin.user_stats(ctx, "eve")).total_chat_lines == 7


def test_bad_rows_are_told(at: Path, older: Older) -> None:
    """Which, and why; everything else is taken."""
    older(
        "INSERT INTO user_stats VALUES ('', 1, 1, 1, 1, NULL), ('Kim', 'yesterday', 2, 3, 4, NULL), "
        "('Max', 1, 2, -3, 4, NULL);"
        "INSERT INTO recent_chat (timestamp, username, message) VALUES (NULL, 'a', 'b'), (1, 'a', NULL), "
        "(1, x'00', 'b');"
        "INSERT INTO user_count_history (timestamp, chat_users, connected_users) VALUES (1e300, 1, 1), (5, NULL, 1);"
    )
    text = rosey("import", "bot.db").output
    assert "user_stats: 2 taken, 0 were here already, 3 left out" in text
    for told in (
        "row 4: username is '', and should be text",
        "row 5: first_seen is 'yesterday', and should be a number",
        "row 6: total_chat_lines is -3, which can't be",
        "row 4: timestamp is None, and should be a number",
        "row 5: message is None, and should be text",
        "row 6: username is b'\\x00', and should be text",
        "row 3: timestamp is 1e+300, which can't be",
        "row 4: chat_users is None, and should be a number",
    ):
        assert told in text, told


def test_another_channel_and_another_file(at: Path, older: Older) -> None:
    """Each channel has its own; a second older bot's lines in one channel come beside those of the first."""
    rosey("import", "bot.db")
    assert "into the channel other:" in rosey("import", "--channel", "other", "bot.db").output
    assert (
        "there is no channel nosuch; there are cytube, other"
        in rosey("import", "--channel", "nosuch", "bot.db").output
    )
    older("UPDATE recent_chat SET message = 'of a second bot ' || id")
    assert "recent_chat: 3 taken, 0 were here already" in rosey("import", "bot.db").output
    assert [row[0] for row in contents(at)["chat"]] == ["cytube"] * 6 + ["other"] * 3
    assert ask(at, "SELECT count(*), max(id) < 0 FROM chat") == [(9, 1)]
    assert ask(at, "SELECT seq FROM sqlite_sequence WHERE name = 'chat'") in ([], [(0,)])


def test_what_is_no_older_bots(at: Path, older: Older) -> None:
    """It is told; a table that lacks is told too."""
    older("DROP TABLE user_count_history; ALTER TABLE channel_stats RENAME COLUMN max_users TO most")
    text = rosey("import", "bot.db").output
    assert "user_count_history: nothing, there is no such table" in text
    assert "channel_stats: nothing, it has no column max_users" in text
    Path("text.db").write_text("no database, but long enough to be read as one" * 100)
    assert "can't be read as an older bot's database: file is not a database" in rosey("import", "text.db").output
    sqlite3.connect("empty.db").close()
    assert "is no older bot's database: it has none of the tables user_stats" in rosey("import", "empty.db").output
    assert "rosey: nosuch.db is not there" in rosey("import", "nosuch.db").output


def test_a_damaged_older_file_is_named(at: Path, older: Older) -> None:
    """It, and not the database, which is whole; what was read before is taken."""
    fill(at, "one")
    older(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
        "INSERT INTO recent_chat (timestamp, username, message) SELECT i, 'kim', 'words ' || i FROM n"
    )
    raw = Path("bot.db").read_bytes()
    Path("bot.db").write_bytes(raw[:100_000] + b"\xa5" * 20_000 + raw[120_000:])
    result = rosey("import", "bot.db")
    assert result.exit_code == 1
    assert result.output.startswith("rosey: bot.db can't be read to its end: database disk image is malformed")
    assert "database.db" not in result.output
    assert rosey("check").exit_code == 0


def test_progress_stands_on_a_terminal_only(at: Path) -> None:
    """There it is a bar on standard error; elsewhere nothing."""
    fill(at, "one")
    command = (sys.executable, "-c", "from rosey_plugins.database.cli import db; db()", "backup")
    quiet = subprocess.run((*command, "one.db"), capture_output=True, text=True, check=True)
    assert quiet.stderr == ""
    ours, theirs = pty.openpty()
    with subprocess.Popen((*command, "two.db"), stdout=subprocess.PIPE, stderr=theirs) as shown:
        os.close(theirs)
        text = b""
        try:
            while more := os.read(ours, 4096):
                text += more
        except OSError:  # its end closed
            pass
        assert shown.wait() == 0
    os.close(ours)
    assert b"copied" in text


def test_the_document_names_each_verb() -> None:
    """docs/plugins/database.md has every verb and every table of `export`, and no other."""
    doc = (Path(__file__).parents[1] / "docs" / "plugins" / "database.md").read_text()
    assert set(re.findall(r"^\| `rosey db (\w+)", doc, re.MULTILINE)) == set(db.commands)
    told = re.search(r"`--table ([^;]*);", doc)
    assert told is not None
    assert set(re.findall(r"\w+", told[1].replace(" or ", " "))) == set(TABLES) == set(EXPORTS)
