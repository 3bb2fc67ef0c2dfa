"""What is kept about a user is told whole, and deleted to the last byte; in both homes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rosey_core.cli import privacy as cli
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer


@pytest.fixture(params=("inside", "process"))
def run(request: pytest.FixtureRequest) -> str:
    """Each test in both homes."""
    home: str = request.param
    return home


NAME = "Qwertzuiopy"
LINE = "my very own secret line"


def holding(process: RoseyProcess, text: str) -> list[str]:
    """The files of the state directory in which a text stands."""
    return [str(path.relative_to(process.state)) for path in cli.holding(process.state, text)]


async def test_told_and_forgotten(cytube: SimulatedCytube, make: Any) -> None:
    """Lines, joins, what they queued and who was in the list: all found, then no byte of it."""
    async with make(cytube.url, "logging", "careless", "notary", "database") as process:
        async with Viewer(cytube.url, "movienight", NAME) as viewer:
            await process.until("it is in the room", lambda s: s["channels"]["cytube"]["state"] == "joined")
            await process.started()
            await viewer.say(LINE)
            await viewer.say("/me dances")
            cytube.room.say_as("bob", "hello")
            async with asyncio.timeout(20):
                while len(holding(process, LINE)) < 6 or not holding(process, "hello"):  # noqa: ASYNC110  files
                    await asyncio.sleep(0.05)
        await process.until("they left", lambda s: s["channels"]["cytube"]["users"] == 1)
        code, text = await process.command("privacy", "export", NAME.upper())
        told = json.loads(text.partition("\ncareless did not")[0])
        kinds = {event["event_type"] for event in told["events"]}
        assert code == 1  # one keeps something and has no way to tell it
        assert {"chat.message", "user.left"} <= kinds
        assert LINE in json.dumps(told["plugins"]["logging"])
        assert [(one["key"], one["value"]) for one in told["store"]] == [(f"last of {NAME}", "dances")]
        code, text = await process.command("privacy", "forget", NAME.lower(), "--yes")
        assert "careless did not: it keeps everything, and has no way to forget it" in text
        assert code == 1
        assert "plugins that forgot: database, logging" in text
        assert f"deleted from the store of careless: last of {NAME}\n" in text
        left = [line.rpartition("/")[2] for line in text.splitlines() if line.startswith("still holds the name")]
        assert left == ["everything"]
        assert holding(process, NAME) == ["plugins/careless/everything"]
        assert holding(process, LINE) == ["plugins/careless/everything", "plugins/notary/lines"]
        assert holding(process, "hello")
        cytube.room.say_as("bob", "and on")
        async with asyncio.timeout(20):
            while len(holding(process, "and on")) < 4:  # noqa: ASYNC110  files
                await asyncio.sleep(0.05)


async def test_nobody_is_asked_by_mistake(cytube: SimulatedCytube, make: Any) -> None:
    """Without a yes nothing is deleted; without a daemon it says what to do."""
    process = make(cytube.url, "logging")
    async with process:
        await process.started()
        code, text = await process.command("privacy", "forget", "alice")
        assert code == 1
        assert "Aborted" in text
        code, text = await process.command("privacy", "forget", "alice", "--yes")
        assert code == 0
        assert "event log: 0 deleted, 0 stay without the name" in text
        assert "no file below" in text
    code, text = await process.command("privacy", "forget", "alice", "--yes")
    assert code == 1
    assert "rosey is not running" in text
