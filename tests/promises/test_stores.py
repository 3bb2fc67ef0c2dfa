"""Promises 5 and 6 for what plugins keep: it survives everything, wherever they run, and is nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer
from tests.promises.reading import said


@pytest.fixture(params=("inside", "process"))
def run(request: pytest.FixtureRequest) -> str:
    """Each promise holds wherever the plugins run."""
    return str(request.param)


async def test_what_is_kept(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """What a plugin put into the store is there after the daemon was killed, and one that may not sees nothing."""
    process = make(cytube.url, "counter", "sneak")
    async with process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        for number in range(3):
            await alice.say(f"line {number}")
        await counted(process, 3)
        await alice.say("!many")
        assert await said(alice) == "200, and here lines:alice"
        await counted(process, 4)
        process.send_signal(signal.SIGKILL)
        await process.ended()
    await cytube.wait_for(lambda: cytube.room.find("Rosey") is None)
    async with process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        await alice.say("!many")
        assert await said(alice) == "400, and here lines:alice"
        await counted(process, 5)
        cytube.room.say_as("bob", "!count alice")
        assert await said(alice) == "alice: 5"
        await alice.say("!sneak")
        assert await said(alice) == "!sneak failed. The bot's log says why."
        status = await process.until("it is on its record", lambda s: row_of(s, "sneak")["refused"])
        assert 'add "store" to the asks of its manifest' in row_of(status, "sneak")["last_error"]
        assert row_of(status, "counter")["errors"] == row_of(status, "counter")["refused"] == 0
        assert status["store"] == {"fault": ""}


async def counted(process: RoseyProcess, lines: int) -> None:
    """Wait until so many lines of alice's are in the file: lanes and commands do not wait for each other."""
    async with asyncio.timeout(20):
        while value(process) != b"%d" % lines:  # noqa: ASYNC110  another process writes it
            await asyncio.sleep(0.05)


def value(process: RoseyProcess) -> bytes:
    """What is in the file."""
    with contextlib.closing(sqlite3.connect(process.state / "store.db")) as db, contextlib.suppress(sqlite3.Error):
        for (found,) in db.execute("SELECT value FROM item WHERE key = 'lines:alice'"):
            return bytes(found)
    return b""


def row_of(status: dict[str, Any], plugin: str) -> dict[str, Any]:
    """What the status says of a plugin."""
    row: dict[str, Any] = next(row for row in status["plugins"] if row["name"] == plugin)
    return row
