"""Promise 3: a plugin hurts only itself, and `rosey plugins list` and `rosey status` name it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.viewer import Viewer
from tests.promises.reading import said, states


@pytest.fixture(params=("inside", "process"))
def run(request: pytest.FixtureRequest) -> str:
    """Each promise holds wherever the plugins run."""
    return str(request.param)


async def test_bad_plugins_hurt_only_themselves(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """One raises at every line, one hangs, one exits, three would not start: echo answers all the while."""
    bad = ("raiser", "hanger", "quitter", "broken-import", "crasher", "badstart")
    async with make(cytube.url, "echo", *bad) as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.until("echo runs", lambda s: states(s)["echo"] == "running")
        for number in range(5):
            cytube.room.say_as("bob", "somebody else speaks between, or it would look like two bots")
            await alice.say(f"!echo {number}")
            assert await said(alice) == str(number)
        status = await process.until("the hanging one is parked", lambda s: states(s)["hanger"] == "parked", 40)
        assert states(status) == {
            "echo": "running",
            "raiser": "running",
            "quitter": "running",
            "hanger": "parked",
            "broken-import": "broken",
            "crasher": "broken",
            "badstart": "failed",
        }
        rows = {row["name"]: row for row in status["plugins"]}
        assert rows["raiser"]["errors"] >= 5
        assert "ValueError: raiser raised" in rows["raiser"]["last_error"]
        assert "no_such_package_at_all" in rows["broken-import"]["reason"]
        cytube.room.say_as("bob", "so")
        await alice.say("!raise")
        assert await said(alice) == "!raise failed. The bot's log says why."
        await alice.say("!hang")
        assert await said(alice) == "!hang is not available now."
        code, listed = await process.command("plugins", "list", "--json")
        assert code == 0
        told = {row["name"]: row for row in json.loads(listed)}
        assert told["hanger"]["state"] == "parked"
        assert "no space left on device" in told["badstart"]["reason"]
        assert "no_such_package_at_all" in told["broken-import"]["reason"]
        code, page = await process.command("status")
        assert code == 0
        assert "over its budget" in page
        assert "Traceback" not in page


async def test_a_plugin_that_blocks(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """Code that holds up the whole loop is named in the log, with file and line, while it does so."""
    async with make(cytube.url, "echo", "blocker") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.until("it runs", lambda s: states(s)["blocker"] == "running")
        await alice.say("block")
        await process.until("it is named", lambda _: "loop.blocked" in process.log.read_text())
        assert "zoo_good.py:" in process.log.read_text().partition("loop.blocked")[2]
        await alice.say("!echo after it")
        assert await said(alice) == "after it"


async def test_a_plugin_that_swallows_cancellation(
    cytube: SimulatedCytube, make: Any, alice: Viewer, run: str
) -> None:
    """It holds up neither the channel, nor another plugin, nor the end of the daemon."""
    async with make(cytube.url, "echo", "stubborn") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.until("it runs", lambda s: states(s)["stubborn"] == "running")
        for text in ("judge", "!stubborn", "hook"):
            cytube.room.say_as("bob", text)
        await alice.say("!echo all the same")
        assert await said(alice) == "all the same"
        workers = children(process.pid)
        began = asyncio.get_running_loop().time()
        assert await process.stop() == 0
        assert asyncio.get_running_loop().time() - began < 5
        assert run == "process" or "tasks.left" in process.log.read_text()
        assert not [child for child in workers if command_line(child)]


@pytest.mark.parametrize("run", ("process",))
async def test_a_process_that_blocks(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """It holds up neither another plugin nor the end of the daemon, and goes with it."""
    async with make(cytube.url, "echo", "blocker") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        await alice.say("block for ever")
        await alice.say("!echo all the same")
        assert await said(alice) == "all the same"
        await eventually(lambda: "loop.blocked" in process.log.read_text())
        workers = children(process.pid)
        assert len(workers) >= 3
        assert await process.stop(6) == 0
        assert not [child for child in workers if command_line(child)]


async def test_a_plugin_with_threads(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """One that takes every thread and never gives one back holds up neither the bot nor its end."""
    cytube.room.set_rank("Rosey", 3)
    async with make(cytube.url.replace("127.0.0.1", "localhost"), "echo", "threads") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.until("it runs", lambda s: states(s)["threads"] == "running")
        await cytube.drop("Rosey")
        await cytube.wait_for(lambda: cytube.room.find("Rosey"), 60)
        await alice.say("!echo all the same")
        assert await said(alice) == "all the same"
        broker = json.loads(next(x for x in process.log.read_text().splitlines() if "nats.listens" in x))["pid"]
        assert await process.stop(6) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(broker, 0)


async def test_a_signal_while_it_starts(cytube: SimulatedCytube, make: Any) -> None:
    """SIGTERM ends a daemon whose plugins are still looked at, and its child with it."""
    process = make(cytube.url, "echo", "slowimport", environ={"ZOO_SLOW": "1"})
    await process.start(wait=False)
    await eventually(lambda: any("describe" in command_line(child) for child in children(process.pid)))
    described = children(process.pid)
    assert await process.stop(6) == 0
    assert '"event":"stopped"' in process.log.read_text()
    assert not [child for child in described if command_line(child)]


def children(pid: int) -> list[str]:
    """The processes that a process started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def command_line(pid: str) -> str:
    """How a process was started; empty when there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    return ""


@pytest.mark.parametrize("run", ("inside",))
async def test_a_second_signal(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """It ends the daemon at once, also while a plugin holds up everything."""
    async with make(cytube.url, "blocker") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.until("it runs", lambda s: states(s)["blocker"] == "running")
        await alice.say("block for ever")
        await eventually(lambda: "loop.blocked" in process.log.read_text())
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: not pending(process.pid, signal.SIGTERM))
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await process.ended() == 128 + signal.SIGINT


def pending(pid: int, number: int) -> bool:
    """Whether a signal was sent to a process and waits for it."""
    fields = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return bool(int(fields["ShdPnd"], 16) >> (number - 1) & 1)


async def eventually(holds: Callable[[], bool]) -> None:
    """Look until it holds."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  another process makes it so, and tells nobody
            await asyncio.sleep(0.05)


async def test_two_plugins_with_one_command(cytube: SimulatedCytube, make: Any) -> None:
    """The daemon does not start, and the error names both and what to write."""
    rest = '[plugins.asker.commands]\nadd = "echo"'
    process = make(cytube.url, "echo", "asker", rest=rest)
    code, told = await process.command("check")
    assert code == 78
    assert "both asker and echo have the command echo" in told or "both echo and asker have the command echo" in told
    code, again = await process.command("run")
    assert code == 78
    assert told.splitlines()[-1] in again


async def test_three_canaries(cytube: SimulatedCytube, make: Any, connect: Any, alice: Viewer) -> None:
    """The account's, the room's and a plugin's secret are in no log, file, argument, bus message or traceback."""
    canaries = ("canary-of-the-account", "canary-of-the-room", "canary-of-the-plugin")
    cytube.room.settings.values["password"] = canaries[1]
    cytube.room.set_rank("Rosey", 1)
    process = make(
        cytube.url,
        *("keeper", "echo", "logging"),
        channel='room_password = { env = "TEST_ROOM" }',
        rest='[plugins.keeper.settings.token]\nenv = "TEST_TOKEN"',
        environ={"TEST_ROOM": canaries[1], "TEST_TOKEN": canaries[2], "ROSEY_LOG__LEVEL": "debug"},
    )
    async with process:
        bus = await connect(process)
        heard: list[bytes] = []

        async def take(message: Any) -> None:
            heard.append(message.data)

        await bus.subscribe("rosey.platform.>", cb=take)
        await bus.flush()
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        await alice.say("!leak")
        assert await said(alice) == "!leak failed. The bot's log says why."
        await cytube.drop("Rosey")
        await cytube.wait_for(lambda: cytube.room.find("Rosey"), 60)
        cytube.room.set_rank("Rosey", 5)
        await alice.say("!echo bye")
        await said(alice)
        arguments = all_arguments()
        _, status = await process.command("status", "--json")
        _, shown = await process.command("config", "show", "--origin")
    assert "keeper.careless" in process.log.read_text()
    assert heard
    written = {str(path): path.read_bytes() for path in process.directory.rglob("*") if path.is_file()}
    for canary in canaries:
        assert canary.encode() not in b"".join(heard)
        assert canary.encode() not in arguments
        assert canary not in status + shown
        for path, content in written.items():
            assert canary.encode() not in content, path


def all_arguments() -> bytes:
    """The command lines of every process there is."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += path.read_bytes()
    return found
