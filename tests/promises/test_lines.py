"""Promises 1, 2 and 4: nothing is lost silently, nothing is done twice, and results are true."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer


def said_by_rosey(viewer: Viewer) -> list[str]:
    """What a viewer heard of the bot."""
    return [text for name, text in viewer.lines if name == "Rosey"]


@pytest.fixture(params=("inside", "process"))
def run(request: pytest.FixtureRequest) -> str:
    """Each promise holds wherever the plugins run."""
    return str(request.param)


async def test_a_command_in_the_history_is_not_run_again(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """At a first join and at a rejoin, what CyTube repeats triggers nothing, and the log has each line once."""
    cytube.room.remember("bob", "!echo from before")
    async with make(cytube.url, "echo", "logging") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        await alice.say("!echo once")
        await alice.expect_line(lambda name, _: name == "Rosey")
        await cytube.drop("Rosey")
        await cytube.wait_for(lambda: cytube.room.find("Rosey"), 60)
        await alice.say("!echo last")
        await alice.expect_line(lambda name, _: name == "Rosey")
        assert said_by_rosey(alice) == ["once", "last"]
        file = process.state / "plugins" / "logging" / "cytube.log"
        await process.until("it is written", lambda _: "<Rosey> last" in file.read_text())
        lines = [line.partition(" ")[2] for line in file.read_text().splitlines()]
    for line in (
        "<bob> !echo from before",
        "<alice> !echo once",
        "<Rosey> once",
        "<alice> !echo last",
        "<Rosey> last",
    ):
        assert lines.count(line) == 1, line


async def test_forty_replies_at_once(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """All are delivered, in order, without one `cooldown`, and each receipt says `done`."""
    rest = "[plugins.parrot.settings]\ntimes = 40"
    async with make(cytube.url, "parrot", rest=rest) as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        await alice.say("flood")
        await alice.expect_line(lambda _, text: text == "line 40", 60)
        assert said_by_rosey(alice) == [f"line {number}" for number in range(1, 41)]
        assert cytube.room.dropped["Rosey"] == 0
        path = process.state / "plugins" / "parrot" / "outcomes.json"
        await process.until("every receipt is settled", lambda _: path.exists())
        assert json.loads(path.read_text()) == ["done"] * 40


async def test_two_private_messages_while_one_is_sent(cytube: SimulatedCytube, make: Any) -> None:
    """Each of three people gets the answer to his own message, and each answer's receipt is true."""
    async with make(cytube.url, "parrot") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        async with (
            Viewer(cytube.url, "movienight", "ann") as ann,
            Viewer(cytube.url, "movienight", "ben") as ben,
            Viewer(cytube.url, "movienight", "cat") as cat,
        ):
            people = (ann, ben, cat)
            await asyncio.gather(*(person.pm("Rosey", f"I am {person.name}") for person in people))
            for person in people:
                got = await person.expect("pm", lambda pm: pm["username"] == "Rosey")
                assert got["msg"] == f"you said I am {person.name}"
            path = process.state / "plugins" / "parrot" / "pms.jsonl"
            await process.until("all are settled", lambda _: path.exists() and path.read_text().count("\n") == 3)
            told = [json.loads(line) for line in path.read_text().splitlines()]
            assert sorted(row["to"] for row in told) == ["ann", "ben", "cat"]
            assert {row["state"] for row in told} == {"done"}


async def test_what_cytube_refuses_is_not_called_done(
    cytube: SimulatedCytube, make: Any, connect: Any, alice: Viewer
) -> None:
    """A muted bot's line is refused or unknown, never `done`; a duplicate item is refused with CyTube's own words."""
    async with make(cytube.url, "echo") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        bus = await connect(process)

        async def ask(action: str, **fields: Any) -> dict[str, Any]:
            subject = f"rosey.commands.cytube.{action}"
            reply = await bus.request(subject, json.dumps(fields).encode(), timeout=10)
            answer: dict[str, Any] = json.loads(reply.data)
            return answer

        assert await ask("chat.send_message", text="hello") == {"ok": True, "result": {"state": "done"}}
        assert await alice.expect_line(lambda name, _: name == "Rosey") == "hello"
        first = await ask("media.queue", link="https://youtu.be/dQw4w9WgXcQ")
        assert first["ok"], first
        assert [item.queued_by for item in cytube.room.playlist.items] == ["Rosey"]
        again = await ask("media.queue", link="https://youtu.be/dQw4w9WgXcQ")
        assert again["error"]["code"] == "refused"
        assert "already on the playlist" in again["error"]["message"]
        wrong = await ask("media.queue", link="https://evil.example/?u=youtu.be/dQw4w9WgXcQ")
        assert not wrong["ok"]
        assert wrong["error"]["code"] in {"bad_request", "refused"}


async def test_two_bots_fall_silent(cytube: SimulatedCytube, make: Any) -> None:
    """Two that answer each other's every line stop after three answers each, and the daemon says so."""
    async with make(cytube.url, "echo", rest="[plugins.echo.settings]\nautomatic = true") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        async with Viewer(cytube.url, "movienight", "mirror") as mirror:
            await mirror.say("hello")
            for number in range(3):
                line = await mirror.expect_line(lambda name, _: name == "Rosey")
                await mirror.say(f"{line} {number}")
            status = await process.until("it saw it", lambda _: "loop.stopped" in process.log.read_text())
            assert status["channels"]["cytube"]["actions"]["done"] == 3
            assert said_by_rosey(mirror) == ["hello", "hello 0", "hello 0 1"]


async def test_sigterm_under_load(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """While lines come in and replies wait, the daemon says what it has begun to say and is gone in five seconds."""
    async with make(cytube.url, "echo", "logging", "parrot", rest="[plugins.parrot.settings]\ntimes = 15") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        for number in range(300):
            cytube.room.say_as("crowd", f"line {number}")
        await alice.say("flood")
        await alice.expect_line(lambda name, _: name == "Rosey")
        began = asyncio.get_running_loop().time()
        assert await process.stop() == 0
        seconds = asyncio.get_running_loop().time() - began
        assert seconds < 5
        log = (process.state / "plugins" / "logging" / "cytube.log").read_text()
        assert log.count("<crowd>") == 300
        assert said_by_rosey(alice)[:3] == ["line 1", "line 2", "line 3"]


async def test_sigterm_when_idle(rosey: RoseyProcess) -> None:
    """With nothing to do it is gone in a second."""
    began = asyncio.get_running_loop().time()
    assert await rosey.stop() == 0
    assert asyncio.get_running_loop().time() - began < 1
