"""Promise 7: network trouble ends by itself, at start too; and what is final stops with a reason."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.player import Line, Player
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer


def is_rosey(name: str, _: str) -> bool:
    """Whether the bot said a line."""
    return name == "Rosey"


async def answers(viewer: Viewer, text: str) -> None:
    """Ask the bot to say something, and hear it."""
    await viewer.say(f"!echo {text}")
    assert await viewer.expect_line(is_rosey) == text


def channel(status: dict[str, Any]) -> dict[str, Any]:
    """The one channel's part of a status."""
    row: dict[str, Any] = status["channels"]["cytube"]
    return row


async def test_cytube_is_down_at_boot_and_comes_up(cytube: SimulatedCytube, make: Any) -> None:
    """The daemon is ready without CyTube, says what it waits for, and joins when CyTube is there."""
    await cytube.stop()
    async with make(cytube.url) as process:
        status = await process.until("it says that nobody answers", lambda s: channel(s)["reason"])
        assert channel(status)["state"] == "waiting"
        assert "refused" in channel(status)["reason"]
        await cytube.start()
        await cytube.wait_for(lambda: cytube.room.find("Rosey"), 60)
        async with Viewer(cytube.url, "movienight", "alice") as alice:
            await answers(alice, "up")


async def test_a_dropped_socket(cytube: SimulatedCytube, rosey: RoseyProcess, alice: Viewer) -> None:
    """The bot comes back after its connection broke, three times, and answers each time."""
    for number in range(3):
        await cytube.drop("Rosey")
        await cytube.wait_for(lambda: cytube.room.find("Rosey"), 60)
        await answers(alice, f"back {number}")
    assert rosey.running


async def test_a_half_open_connection(make: Any) -> None:
    """When nothing comes any more, not even a ping, the client itself ends the connection and makes another."""

    async def silent(line: Line) -> None:
        await line.greet(interval=1, patience=1)
        await line.login()
        await line.admit()
        line.freeze()

    async def good(line: Line) -> None:
        await line.greet()
        await line.login()
        await line.admit()
        await line.event("userlist", [{"name": "Rosey", "rank": 1}, {"name": "bob", "rank": 1}])
        await line.event("chatMsg", {"username": "bob", "msg": "!echo again", "meta": {}, "time": 1})
        said = json.loads((await line.hear('42["chatMsg"'))[2:])[1]
        await line.event("chatMsg", {"username": "Rosey", "msg": said["msg"], "meta": {}, "time": 2})

    async with Player(silent, good) as player, make(player.url) as process:
        status = await process.until("it is back", lambda s: channel(s)["actions"]["done"] == 1)
        assert channel(status)["state"] == "joined"
        assert len(player.lines) == 2


async def test_a_frame_of_a_megabyte_and_a_half(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """A playlist of 4,000 items with long titles is taken; the usual limit of a client is one MiB."""
    cytube.room.fill(4000, type="cm", title_length=100)
    async with make(cytube.url) as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await answers(alice, "big")
        assert channel(await process.ask())["playlist"] == 4000


async def test_eight_thousand_playlist_frames_in_a_second(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """None is lost, the list is right within two seconds, and the loop never stands still for 100 ms."""
    async with make(cytube.url, "witness", "logging") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.until("it runs", lambda s: all(row["state"] == "running" for row in s["plugins"]))
        await alice.say("!witness before")
        await alice.expect_line(is_rosey)
        await cytube.room.burst(4000, seconds=1)
        async with asyncio.timeout(10):  # two, and what a busy machine takes for everybody else
            await alice.say("!witness after")
            await alice.expect_line(is_rosey)
        told = json.loads((process.state / "plugins" / "witness" / "after.json").read_text())
        assert told["uids"] == [item.uid for item in cytube.room.playlist.items]
        assert len(told["uids"]) == 4000
        assert told["queued"] == 4000
        assert told["worst"] <= 0.1
        status = await process.ask()
        assert channel(status)["failures"] == 0
        assert [row["dropped"] for row in status["plugins"]] == [0, 0]


@pytest.mark.parametrize("reason", (None, "", "be nice"))
async def test_a_kick(cytube: SimulatedCytube, make: Any, reason: str | None, alice: Viewer) -> None:
    """A kick ends the connection, its reason is told even where there is none, and the bot is back after its wait."""
    async with make(cytube.url, channel="rejoin_after_kick = 3") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await cytube.kick("Rosey", reason)
        await process.until("it says so", lambda s: (reason or "no reason") in channel(s)["reason"])
        await cytube.wait_for(lambda: cytube.room.find("Rosey"), 60)
        await answers(alice, "forgiven")


async def test_a_kick_may_be_final(cytube: SimulatedCytube, make: Any) -> None:
    """With `rejoin_after_kick = 0` the bot stays away, the daemon stays up, and status says why."""
    async with make(cytube.url, channel="rejoin_after_kick = 0") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await cytube.kick("Rosey", "enough")
        status = await process.until("it stops", lambda s: channel(s)["state"] == "stopped")
        assert "enough" in channel(status)["reason"]
        assert cytube.room.find("Rosey") is None


async def test_a_duplicate_login(cytube: SimulatedCytube, rosey: RoseyProcess) -> None:
    """When the same account logs in elsewhere the bot gives way, and does not fight for the name."""
    joined = len(cytube.site.joins)
    async with Viewer(cytube.url, "movienight", "Rosey", "canary-of-the-account") as other:
        status = await rosey.until("it gives way", lambda s: channel(s)["state"] != "joined")
        assert "duplicate login" in channel(status)["reason"].lower()
        assert len(cytube.site.joins) == joined + 1
        assert not other.closed


async def test_a_wrong_channel_password(cytube: SimulatedCytube, make: Any) -> None:
    """The bot stops with a clear reason, since asking again would never help; the daemon stays up."""
    cytube.room.settings.values["password"] = "sesame"
    cytube.room.set_rank("Rosey", 1)  # moderators need none
    async with make(cytube.url, channel='room_password = { env = "TEST_READER" }') as process:
        status = await process.until("it stops", lambda s: channel(s)["state"] == "stopped")
        assert "password" in channel(status)["reason"]
        assert "room_password" in channel(status)["reason"]
        assert process.running


async def test_a_wrong_account_password(cytube: SimulatedCytube, make: Any) -> None:
    """CyTube's own words are told, and the password is not."""
    async with make(cytube.url, environ={"TEST_PASSWORD": "not-the-password"}) as process:
        status = await process.until("it stops", lambda s: channel(s)["state"] == "stopped")
        assert "password" in channel(status)["reason"].lower()
        assert "not-the-password" not in process.log.read_text()
