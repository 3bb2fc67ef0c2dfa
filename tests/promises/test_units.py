"""A plugin as a unit: a process that the daemon does not start, and that finds the daemon again and again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer

CONFIG = """\
version = 1
[channels.cytube]
server = "{site}"
room = "movienight"
username = "Rosey"
password = {{ env = "TEST_PASSWORD" }}
[nats]
listen = "127.0.0.1:{port}"
[plugins.{plugin}]
enabled = true
run = "unit"
nats_password = {{ env = "TEST_UNIT" }}
grant = ["chat.read", "chat.send"]
"""
ENVIRON = {"TEST_PASSWORD": "canary-of-the-account", "TEST_UNIT": "canary-of-the-unit"}


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def state_of(status: dict[str, Any]) -> str:
    """The state of the one plugin."""
    return str(status["plugins"][0]["state"])


class Unit(RoseyProcess):
    """`rosey plugins run NAME`, beside a daemon."""

    def __init__(self, daemon: RoseyProcess, plugin: str, name: str = "unit", **environ: str) -> None:
        home = daemon.directory / name
        home.mkdir(exist_ok=True)
        arguments = ("run", plugin, "--config", str(daemon.directory / "rosey.toml"))
        super().__init__(home, environ=ENVIRON | environ, arguments=arguments, verb="plugins")


@pytest.fixture
async def units() -> AsyncIterator[list[Unit]]:
    """Those that are ended at last."""
    started: list[Unit] = []
    yield started
    for unit in started:
        await unit.stop()


@pytest.fixture
def daemon(home: Path, zoo: Path, cytube: SimulatedCytube) -> RoseyProcess:
    """One that expects echo as a unit; not started."""
    text = CONFIG.format(site=cytube.url, port=free_port(), plugin="echo")
    return RoseyProcess(home, text, environ=ENVIRON)


async def answered(alice: Viewer, text: str) -> None:
    """The bot says a text after `!echo`."""
    await alice.say(f"!echo {text}")
    assert await alice.expect_line(lambda name, _: name == "Rosey") == text


async def test_found_again(daemon: RoseyProcess, cytube: SimulatedCytube, alice: Viewer, units: list[Unit]) -> None:
    """It waits for its unit, and answers again after either was killed or ended; and the unit ends with code 0."""
    unit = Unit(daemon, "echo")
    units.append(unit)
    await unit.start(wait=False)  # before there is anybody to hear it
    async with daemon:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await unit.ready()
        await daemon.until("it runs", lambda s: state_of(s) == "running")
        await answered(alice, "one")

        daemon.send_signal(signal.SIGKILL)
        await daemon.ended()
        await daemon.start()
        await daemon.until("it is found again", lambda s: state_of(s) == "running")
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await answered(alice, "two")

        assert await daemon.stop() == 0
        await daemon.start()
        await daemon.until("and again", lambda s: state_of(s) == "running")
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await answered(alice, "three")
        assert unit.running

        unit.send_signal(signal.SIGKILL)
        await unit.ended()
        await unit.start()
        await daemon.until("the next process", lambda s: state_of(s) == "running")
        await answered(alice, "four")

        assert await unit.stop() == 0
        told = await daemon.until("it is waited for", lambda s: state_of(s) == "waiting")
        assert told["plugins"][0]["reason"] == "it did not answer for 10 s: systemctl status rosey-plugin@echo"
    assert "canary" not in daemon.log.read_text() + unit.log.read_text()


async def test_nats_is_killed(
    daemon: RoseyProcess, cytube: SimulatedCytube, alice: Viewer, units: list[Unit]
) -> None:
    """The plugin is not started anew for that."""
    async with daemon:
        told = await daemon.until("it is waited for", lambda s: state_of(s) == "waiting")
        reason = "its unit has not said hello yet: systemctl start rosey-plugin@echo, or rosey plugins run echo"
        assert told["plugins"][0]["reason"] == reason
        units.append(unit := Unit(daemon, "echo"))
        await unit.start()
        await daemon.until("it runs", lambda s: state_of(s) == "running")
        nats = [line for line in daemon.log.read_text().splitlines() if "nats.listens" in line]
        os.kill(int(nats[0].partition('"pid":')[2].partition("}")[0].partition(",")[0]), signal.SIGKILL)
        await daemon.until("NATS is back", lambda s: s["nats"]["starts"] == 2 and s["nats"]["connected"])
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await daemon.until("and the unit there", lambda _: unit.log.read_text().count('"bus.connected"') == 2)
        await answered(alice, "hello")
        assert daemon.log.read_text().count("plugin.running") == 1


async def test_frozen(daemon: RoseyProcess, cytube: SimulatedCytube, alice: Viewer, units: list[Unit]) -> None:
    """One that is silent is waited for; when it goes on it is started anew."""
    async with daemon:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        units.append(unit := Unit(daemon, "echo"))
        await unit.start()
        await daemon.until("it runs", lambda s: state_of(s) == "running")
        unit.send_signal(signal.SIGSTOP)
        await daemon.until("it is waited for", lambda s: state_of(s) == "waiting")
        unit.send_signal(signal.SIGCONT)
        await daemon.until("it runs again", lambda s: state_of(s) == "running")
        await answered(alice, "hello")


async def test_parked(home: Path, zoo: Path, cytube: SimulatedCytube, units: list[Unit]) -> None:
    """A plugin that can't start ends its process with code 1, and the next one is told why it is not wanted."""
    text = CONFIG.format(site=cytube.url, port=free_port(), plugin="badstart")
    async with RoseyProcess(home, text, environ=ENVIRON) as daemon:
        units.append(unit := Unit(daemon, "badstart"))
        await unit.start()
        assert await unit.ended() == 1
        told = await daemon.until("it failed", lambda s: state_of(s) == "failed")
        assert f"badstart is failed: {told['plugins'][0]['reason']}" in unit.log.read_text()
        assert "Traceback" not in unit.tail(1)
        await unit.start(wait=False)
        async with asyncio.timeout(30):
            await unit.told("STATUS=rosey does not want it: badstart is failed: ")
        assert unit.running


async def test_a_second_one(daemon: RoseyProcess, cytube: SimulatedCytube, alice: Viewer, units: list[Unit]) -> None:
    """It is refused while the first lives, says why, and ends with code 1; once the first is killed one comes in."""
    async with daemon:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        units += [first := Unit(daemon, "echo"), second := Unit(daemon, "echo", name="second")]
        await first.start()
        await daemon.until("it runs", lambda s: state_of(s) == "running")
        await second.start(wait=False)
        assert await second.ended() == 1
        sentence = (
            f"rosey: echo runs already, in process {first.pid} here or on another machine, and that one answers"
        )
        assert sentence in second.tail(1)
        assert "Traceback" not in second.log.read_text()
        await answered(alice, "the first")
        assert daemon.log.read_text().count("plugin.running") == 1

        first.send_signal(signal.SIGKILL)
        await second.start()
        await daemon.until("it runs", lambda s: state_of(s) == "running")
        assert await first.ended() == -signal.SIGKILL
        cytube.room.say_as("bob", "so")
        await answered(alice, "the second")
        assert daemon.log.read_text().count("plugin.running") == 2


async def test_one_that_comes_back_too_late(
    daemon: RoseyProcess, cytube: SimulatedCytube, alice: Viewer, units: list[Unit]
) -> None:
    """One that was frozen, and replaced, ends when it goes on."""
    async with daemon:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        units += [first := Unit(daemon, "echo"), second := Unit(daemon, "echo", name="second")]
        await first.start()
        await daemon.until("it runs", lambda s: state_of(s) == "running")
        first.send_signal(signal.SIGSTOP)
        await second.start()
        await daemon.until("another runs", lambda _: daemon.log.read_text().count("plugin.running") == 2)
        first.send_signal(signal.SIGCONT)
        assert await first.ended() == 1
        assert f"echo runs already, in process {second.pid}" in first.tail(1)
        await answered(alice, "the second")


NOTER = """\
from rosey_core.api import Context, Manifest, Settings, hookimpl


class Noter:
    manifest = Manifest(name="noter", summary="Notes its lives.")

    def __init__(self, settings: Settings) -> None:
        pass

    def note(self, ctx: Context, what: str) -> None:
        ctx.directory.mkdir(parents=True, exist_ok=True)
        with (ctx.directory / "lives").open("a") as file:
            file.write(f"{what} ")

    @hookimpl
    def start(self, ctx: Context) -> None:
        self.note(ctx, "start")

    @hookimpl
    def stop(self, ctx: Context) -> None:
        self.note(ctx, "stop")
"""


async def test_every_life_is_ended(home: Path, cytube: SimulatedCytube, units: list[Unit]) -> None:
    """The plugin is stopped before a new daemon starts it anew, by a daemon that ends, and by SIGTERM."""
    (home / "noter.py").write_text(NOTER)
    text = CONFIG.format(site=cytube.url, port=free_port(), plugin="noter") + 'path = "noter.py"\n'
    daemon = RoseyProcess(home, text.replace('"chat.read", "chat.send"', ""), environ=ENVIRON)
    own = home / "own"
    async with daemon:
        units.append(unit := Unit(daemon, "noter", STATE_DIRECTORY=str(own)))
        await unit.start()
        await daemon.until("it runs", lambda s: state_of(s) == "running")
        daemon.send_signal(signal.SIGKILL)
        await daemon.ended()
        await daemon.start()
        await daemon.until("it runs again", lambda s: state_of(s) == "running")
        assert (own / "lives").read_text() == "start stop start "
    assert (own / "lives").read_text() == "start stop start stop "
    async with daemon:
        await daemon.until("and again", lambda s: state_of(s) == "running")
        assert await unit.stop() == 0
        assert (own / "lives").read_text() == "start stop start stop start stop "


CANCELLER = """\
import asyncio

from rosey_core.api import Manifest, Settings, hookimpl


class Canceller:
    manifest = Manifest(name="canceller", summary="Cancels every task.")

    def __init__(self, settings: Settings) -> None:
        pass

    @hookimpl
    def start(self) -> None:
        for task in asyncio.all_tasks():
            task.cancel()
"""


async def test_a_plugin_that_cancels_everything(home: Path, cytube: SimulatedCytube, units: list[Unit]) -> None:
    """It ends its own process, with code 1 and a line that says so."""
    (home / "canceller.py").write_text(CANCELLER)
    text = CONFIG.format(site=cytube.url, port=free_port(), plugin="canceller") + 'path = "canceller.py"\n'
    async with RoseyProcess(home, text.replace('"chat.read", "chat.send"', ""), environ=ENVIRON) as daemon:
        units.append(unit := Unit(daemon, "canceller"))
        await unit.start()
        assert await unit.ended() == 1
        assert "its plugin cancelled every task" in unit.log.read_text()
        assert "Traceback" not in unit.log.read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    (
        ('run = "unit"', 'run = "inside"', 'rosey.toml:11:7: rosey runs echo itself; set run = "unit"'),
        ("[plugins.echo]", "[plugins.ecco]", "has no [plugins.echo]; did you mean ecco?"),
        ("[plugins.echo]", "[plugins.echo]\npath = 'w.json'", "start its own program instead"),
        ("TEST_UNIT", "NOWHERE", "the variable NOWHERE is not set"),
        ("listen =", "# listen =", "a unit has to find NATS"),
    ),
)
async def test_what_it_can_not_use(home: Path, old: str, new: str, message: str) -> None:
    """It is told with its place, and code 78, so that systemd does not try again."""
    text = CONFIG.format(site="http://127.0.0.1:1", port=4222, plugin="echo")
    unit = Unit(RoseyProcess(home, text.replace(old, new)), "echo")
    await unit.start(wait=False)
    assert await unit.ended() == 78
    assert message in unit.log.read_text()
    assert "Traceback" not in unit.log.read_text()
    await unit.stop()


async def test_the_database_alone(
    home: Path, zoo: Path, cytube: SimulatedCytube, alice: Viewer, units: list[Unit]
) -> None:
    """The bundled database as a unit: killed and away for a while, it catches up; each line is one row."""
    grants = '["chat.read", "user.read", "media.read", "channel.read"]'
    text = CONFIG.format(site=cytube.url, port=free_port(), plugin="database")
    daemon = RoseyProcess(home, text.replace('["chat.read", "chat.send"]', grants), environ=ENVIRON)
    unit = Unit(daemon, "database")
    units.append(unit)

    def lines() -> list[str]:
        (path,) = daemon.directory.rglob("database.db")
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
            return [text for (text,) in file.execute("SELECT text FROM chat WHERE user IS NOT NULL ORDER BY id")]

    async with daemon:
        await unit.start()
        await daemon.until("it runs", lambda s: state_of(s) == "running")
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await alice.say("one")
        async with asyncio.timeout(20):
            while lines() != ["one"]:  # noqa: ASYNC110  it is a file
                await asyncio.sleep(0.05)
        unit.send_signal(signal.SIGKILL)
        await unit.ended()
        await alice.say("two")
        await alice.say("three")
        await unit.start()
        async with asyncio.timeout(40):
            while lines() != ["one", "two", "three"]:  # noqa: ASYNC110  it is a file
                await asyncio.sleep(0.05)
