"""Promises 1 and 2: what the room said reaches a durable plugin, once in effect, whatever dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer
from tests.promises.reading import said


@pytest.fixture(params=("inside", "process"))
def run(request: pytest.FixtureRequest) -> str:
    """Each test in both homes."""
    home: str = request.param
    return home


def noted(process: RoseyProcess, file: str = "lines") -> list[str]:
    """What the notary wrote."""
    path = process.state / "plugins" / "notary" / file
    return path.read_text().splitlines() if path.exists() else []


async def until_noted(process: RoseyProcess, count: int, file: str = "lines") -> list[str]:
    """Wait for so many lines of it."""
    async with asyncio.timeout(30):
        while len(noted(process, file)) < count:  # noqa: ASYNC110  it is a file
            await asyncio.sleep(0.02)
    return noted(process, file)


async def joined(process: RoseyProcess, cytube: SimulatedCytube) -> None:
    """Wait until the bot is in the room, and its plugins run."""
    await process.until("it is in the room", lambda s: s["channels"]["cytube"]["state"] == "joined")
    assert cytube.room.find("Rosey")
    await process.started()


async def test_switched_off_and_on(cytube: SimulatedCytube, make: Any) -> None:
    """A plugin that was parked, and then off over a restart, gets every line of that time, in order, once."""
    async with make(cytube.url, "notary") as process:
        await joined(process, cytube)
        cytube.room.say_as("alice", "0")
        await until_noted(process, 1)
        code, text = await process.command("plugins", "park", "notary")
        assert (code, text) == (0, "notary is parked\n")
        for number in range(1, 300):
            cytube.room.say_as("alice", str(number))
        seq = (await process.ask())["channels"]["cytube"]["events"]
        assert seq
        code, text = await process.command("plugins", "release", "notary")
        assert (code, text) == (0, "notary was started\n")
        assert await until_noted(process, 300) == [str(number) for number in range(300)]
        config = (process.directory / "rosey.toml").read_text()
        off = config.replace("[plugins.notary]\nenabled = true", "[plugins.notary]\nenabled = false")
        (process.directory / "rosey.toml").write_text(off)
        assert (await process.command("ctl", "reload"))[0] == 0
        for number in range(300, 310):
            cytube.room.say_as("alice", str(number))
        await process.until("they are on disk", lambda s: not s["eventlog"]["waiting"])
        await process.stop()
        (process.directory / "rosey.toml").write_text(config)
        await process.start()
        assert await until_noted(process, 310) == [str(number) for number in range(310)]


async def test_removed_it_leaves_nothing(cytube: SimulatedCytube, make: Any) -> None:
    """Out of the TOML and in again, a plugin is a new one: it starts at now, or with the oldest if it says so."""
    async with make(cytube.url, "notary") as process:
        await joined(process, cytube)
        cytube.room.say_as("alice", "0")
        await until_noted(process, 1)
        path = process.directory / "rosey.toml"
        config = path.read_text()
        path.write_text(config.partition("[plugins.notary]")[0])
        assert (await process.command("ctl", "reload"))[0] == 0
        cytube.room.say_as("alice", "1")
        await process.until("it is heard", lambda s: not s["eventlog"]["waiting"])
        path.write_text(config)
        assert (await process.command("ctl", "reload"))[0] == 0
        await process.until("it runs", lambda s: s["plugins"][0]["state"] == "running")
        cytube.room.say_as("alice", "2")
        assert await until_noted(process, 2) == ["0", "2"]
        path.write_text(config.partition("[plugins.notary]")[0])
        assert (await process.command("ctl", "reload"))[0] == 0
        path.write_text(config.replace("[plugins.notary]", '[plugins.notary]\nfrom = "oldest"'))
        assert (await process.command("ctl", "reload"))[0] == 0
        assert (await until_noted(process, 5))[2:] == ["0", "1", "2"]


async def test_an_action_is_not_done_twice(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """The daemon is killed between the frame and the cursor: the event comes again, the line does not."""
    process = make(cytube.url, "notary")
    await process.start()
    try:
        await joined(process, cytube)
        await alice.say("note and die")
        assert await said(alice) == "noted and die"
        assert await process.ended() == -signal.SIGKILL
        await process.start()
        lines = await until_noted(process, 2)
        assert lines == ["note and die", "note and die"]
        assert await until_noted(process, 2, "outcomes") == ["note and die done", "note and die dropped"]
        await alice.say("note once more")
        assert await said(alice) == "noted once more"
    finally:
        await process.stop()


async def test_dead_letters(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """What it fails at again and again is put aside, shown, tried again by hand, and gone then."""
    async with make(cytube.url, "notary") as process:
        path = process.directory / "rosey.toml"
        path.write_text(path.read_text().replace("[plugins.notary]", "[plugins.notary]\nmax_tries = 2"))
        assert (await process.command("ctl", "reload"))[0] == 0
        await joined(process, cytube)
        directory = process.state / "plugins" / "notary"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "broken").touch()
        await alice.say("one")
        waits = await process.until("it waits", lambda s: "broken" in s["plugins"][0]["reason"])
        assert waits["plugins"][0]["reason"].endswith("ValueError: broken")
        await process.until("it gave up", lambda s: s["plugins"][0]["dropped"] == 1)
        code, text = await process.command("plugins", "dead", "notary", "--json")
        (letter,) = json.loads(text)
        assert (code, letter["event_type"], letter["tries"], letter["error"]) == (
            0,
            "chat.message",
            2,
            "ValueError: broken",
        )
        code, text = await process.command("plugins", "dead", "notary")
        assert letter["id"] in text
        code, text = await process.command("plugins", "retry", "notary", "cytube-1")
        assert (code, text) == (
            1,
            "rosey: notary has no dead letter cytube-1; rosey plugins dead notary lists them\n",
        )
        (directory / "broken").unlink()
        await alice.say("two")
        await until_noted(process, 1)
        code, text = await process.command("plugins", "retry", "notary")
        assert code == 0
        assert await until_noted(process, 2) == ["two", "one"]
        assert await process.command("plugins", "dead", "notary") == (0, "notary has no dead letters\n")


async def test_a_list_needs_to_say_what_it_answers(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """What `on_events` does without a cause is refused, with the way that works."""
    async with make(cytube.url, "lister") as process:
        await joined(process, cytube)
        await alice.say("list please")
        assert await said(alice) == "refused True"


@pytest.mark.timeout(240)
async def test_kills_at_any_time(cytube: SimulatedCytube, make: Any, run: str) -> None:
    """Lines at 20/s while the daemon (and with it the worker, or the worker alone) is killed: all come, in order.

    The room's history fills in what was said while nobody listened: 15 lines, so the bot is back before that many.
    """
    process = make(cytube.url, "notary", rest="")
    await process.start()
    try:
        await joined(process, cytube)
        told = 0
        for round_ in range(6):
            for _ in range(10):
                told += 1
                cytube.room.say_as("alice", f"line {told}")
                await asyncio.sleep(0.05)
            if run == "process" and round_ % 2:
                os.kill(worker_pid(process), signal.SIGKILL)
                continue
            # What came in the last quarter second may be lost, unless the history has it.
            os.kill(process.pid, signal.SIGKILL)
            await process.ended()
            told += 1
            cytube.room.say_as("alice", f"line {told}")
            await process.start()
            await joined(process, cytube)
        async with asyncio.timeout(30):
            while f"line {told}" not in noted(process):  # noqa: ASYNC110  it is a file
                await asyncio.sleep(0.02)
        lines = noted(process)
        assert list(dict.fromkeys(lines)) == [f"line {number}" for number in range(1, told + 1)]
    finally:
        await process.stop()


def worker_pid(process: RoseyProcess) -> int:
    """The worker's process, as the log told it last."""
    rows = [json.loads(line) for line in Path(process.log).read_text().splitlines() if line.startswith("{")]
    return int([row["pid"] for row in rows if row["event"] == "plugin.running" and "pid" in row][-1])


@pytest.mark.slow
async def test_a_hang_becomes_a_dead_letter(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """A plugin that hangs at one event gives it up at last, and goes on with the next."""
    async with make(cytube.url, "notary") as process:
        path = process.directory / "rosey.toml"
        path.write_text(path.read_text().replace("[plugins.notary]", "[plugins.notary]\nmax_tries = 4"))
        assert (await process.command("ctl", "reload"))[0] == 0
        await joined(process, cytube)
        await alice.say("hang")
        await alice.say("after")
        async with asyncio.timeout(60):
            while noted(process) != ["after"]:  # noqa: ASYNC110  it is a file
                await asyncio.sleep(0.1)
        (letter,) = json.loads((await process.command("plugins", "dead", "notary", "--json"))[1])
        assert (letter["about"], letter["tries"]) == ("alice: hang", 4)
        status = await process.ask()
        assert "gave up at 1 events: rosey plugins dead notary" in status["plugins"][0]["reason"]


async def test_two_answers_to_one_event(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """What `ctx.about(event)` says twice is said twice."""
    async with make(cytube.url, "lister") as process:
        await joined(process, cytube)
        await alice.say("list twice")
        assert [await said(alice) for _ in range(3)] == ["refused True", "one", "two"]
        status = await process.until("it is on the record", lambda s: s["plugins"][0]["refused"])
        assert status["plugins"][0]["refused"] == 1
        code, text = await process.command("plugins", "retry", "lister")
        assert (code, text) == (0, "lister tries again: 0; rosey plugins dead lister lists what it fails at\n")
        assert await process.command("plugins", "dead", "nosuch") == (
            1,
            "rosey: nosuch is not enabled here; rosey plugins list shows what is\n",
        )
