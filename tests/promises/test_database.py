"""Promises 1 and 2 for the bundled database: each line of the room is one row, in order, wherever it runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from rosey_core.bus.client import Client
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.lookup import Media
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer
from tests.promises.test_workers import back, pid_of


@pytest.fixture(params=("inside", "process"))
def run(request: pytest.FixtureRequest) -> str:
    """Each test in both homes."""
    home: str = request.param
    return home


def rows(process: RoseyProcess, sql: str) -> list[Any]:
    """What is in the database, read beside the plugin."""
    path = process.state / "plugins" / "database" / "database.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
        try:
            return file.execute(sql).fetchall()
        except sqlite3.OperationalError:  # its tables are being made
            return []


LINES = "SELECT text FROM chat WHERE user IS NOT NULL ORDER BY id"


PLAYS = "SELECT title FROM media"
SESSIONS = """
SELECT s.end_at, s.start_at FROM sessions s JOIN users u ON u.id = s.user WHERE u.key = 'alice' ORDER BY s.start_at"""


async def until_rows(process: RoseyProcess, count: int, sql: str = LINES, seconds: float = 30) -> list[Any]:
    """Wait for so many rows; the first column of them."""
    async with asyncio.timeout(seconds):
        while len(found := rows(process, sql)) < count:  # noqa: ASYNC110  it is a file
            await asyncio.sleep(0.05)
    return [row[0] for row in found]


async def joined(process: RoseyProcess, cytube: SimulatedCytube) -> None:
    """Wait until the bot is in the room, and its plugins run."""
    await process.until("it is in the room", lambda s: s["channels"]["cytube"]["state"] == "joined")
    assert cytube.room.find("Rosey")
    await process.started()


async def test_an_evening(cytube: SimulatedCytube, make: Any, alice: Viewer, connect: Callable[..., Any]) -> None:
    """Who was there before the bot, who comes and speaks at once, what is said: rows, and answers on the bus."""
    async with make(cytube.url, "database") as process:
        await joined(process, cytube)
        await alice.say("hello")
        async with Viewer(cytube.url, "movienight", "bob") as bob:
            await bob.say("I speak at once")
            await until_rows(process, 2)
            cytube.room.say_as("eve", "<b>& bold</b>")
            assert await until_rows(process, 3) == ["hello", "I speak at once", "<b>& bold</b>"]
            client: Client = await connect(process)
            asked = json.dumps({"username": "BOB"}).encode()
            answer = await client.request("rosey.events.database.query.user_stats", asked, timeout=5)
            stats = json.loads(answer.data)["result"]
            assert (stats["found"], stats["username"], stats["total_chat_lines"]) == (True, "bob", 1)
            assert stats["current_session_start"] > 0
        answer = await client.request("rosey.events.database.query.user_stats", b'{"username": "alice"}', timeout=5)
        assert json.loads(answer.data)["result"]["current_session_start"]
        answer = await client.request("rosey.plugins.database.recent_chat", b'{"limit": 2}', timeout=5)
        recent = json.loads(answer.data)["result"]
        assert [line["message"] for line in recent["messages"]] == ["I speak at once", "<b>& bold</b>"]
        cytube.room.say_as("eve", "pancakes")
        found: list[Any] = []
        async with asyncio.timeout(5):  # it is indexed beside the writing
            while not found:
                answer = await client.request(
                    "rosey.plugins.database.search_chat", b'{"text": "pancakes"}', timeout=5
                )
                found = json.loads(answer.data)["result"]["messages"]
        assert [line["username"] for line in found] == ["eve"]


async def test_a_restart_loses_and_doubles_none(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """The plugin is restarted, and in a process killed, during 100 lines of somebody."""
    async with make(cytube.url, "database") as process:
        await joined(process, cytube)
        for number in range(100):
            cytube.room.say_as("alice", str(number))
            if number == 30:
                assert (await process.command("plugins", "restart", "database"))[0] == 0
            if number == 60 and 'run = "process"' in (process.directory / "rosey.toml").read_text():
                await process.until("it runs", lambda s: s["plugins"][0]["state"] == "running")
                old = pid_of(process, "database")
                os.kill(old, signal.SIGKILL)
                await back(process, "database", old)
        assert await until_rows(process, 100) == [str(number) for number in range(100)]
        await asyncio.sleep(0)
        assert len(rows(process, LINES)) == 100


async def test_history_fills_in(cytube: SimulatedCytube, make: Any) -> None:
    """What was said while the bot was away, and CyTube still knows, is told once; what is known is not repeated."""
    process = make(cytube.url, "database")
    await process.start()
    try:
        await joined(process, cytube)
        for text in ("a", "b", "b"):
            cytube.room.say_as("alice", text)
        await until_rows(process, 3)
        await process.stop()
        for text in ("c", "c"):
            cytube.room.say_as("alice", text)
        await process.start()
        await joined(process, cytube)
        cytube.room.say_as("alice", "d")
        assert await until_rows(process, 6) == ["a", "b", "b", "c", "c", "d"]
        await cytube.drop("Rosey")
        cytube.room.say_as("alice", "e")
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        cytube.room.say_as("alice", "f")
        assert await until_rows(process, 8) == ["a", "b", "b", "c", "c", "d", "e", "f"]
    finally:
        await process.stop()


async def test_switched_on_in_a_room(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """A database that begins while the bot is in a room knows who is there, though nobody joins."""
    async with make(cytube.url, "echo") as process:
        await joined(process, cytube)
        code, text = await process.command("plugins", "enable", "database", "--yes")
        assert (code, "reloaded" in text) == (0, True), text
        here = "SELECT name FROM sessions JOIN users ON users.id = user WHERE end_at IS NULL ORDER BY name"
        assert await until_rows(process, 2, here) == ["Rosey", "alice"]
        await alice.say("I was here before")
        assert await until_rows(process, 1) == ["I was here before"]


async def test_a_clean_stop_ends_the_sessions(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """The time while the bot was down is nobody's time in the room."""
    process = make(cytube.url, "database")
    await process.start()
    try:
        await joined(process, cytube)
        await until_rows(process, 2, "SELECT start_at FROM sessions WHERE end_at IS NULL")
        await process.stop()
        stopped = time.time()
        await process.start()
        await joined(process, cytube)
        ended = await until_rows(process, 2, "SELECT end_at FROM sessions WHERE end_at IS NOT NULL")
        assert max(ended) <= stopped
    finally:
        await process.stop()


async def test_nobody_is_there_while_the_bot_is_not(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """The daemon is killed while something plays: nobody was seen until the next list."""
    cytube.room.playlist.fill([Media("abc", "A film", 5400, "yt")], "alice")
    process = make(cytube.url, "database")
    await process.start()
    try:
        await joined(process, cytube)
        await alice.say("one")
        await until_rows(process, 1)
        await until_rows(process, 1, PLAYS)
        process.send_signal(signal.SIGKILL)
        await process.ended()
        killed = time.time()
        await process.start()
        await joined(process, cytube)
        await alice.say("two")
        await until_rows(process, 2)
        (until, _), (_, since) = rows(process, SESSIONS)
        assert until <= killed < since
        assert len(rows(process, PLAYS)) == 1
    finally:
        await process.stop()
