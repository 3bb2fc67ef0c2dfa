"""What ships runs: the example configuration, in an empty directory, as it is."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

from rosey_core.errors import RoseyError
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer

EXAMPLE = Path(__file__).parents[2] / "rosey.toml.example"


async def test_the_shipped_example_answers_a_command(home: Path, cytube: SimulatedCytube, alice: Viewer) -> None:
    """With nothing but the site's address changed by a variable, the bot joins as a guest and answers."""
    shutil.copy(EXAMPLE, home / "rosey.toml")
    environ = {"ROSEY_CHANNELS__CYTUBE__SERVER": cytube.url, "ROSEY_CHANNELS__CYTUBE__ROOM": "movienight"}
    async with RoseyProcess(home, environ=environ) as process:
        await cytube.wait_for(lambda: cytube.room.find("rosey-bot"))
        await alice.say("!echo it stands")
        assert await alice.expect_line(lambda name, _: name == "rosey-bot") == "it stands"
        await alice.say("!help echo")
        assert await alice.expect_line(lambda name, _: name == "rosey-bot") == "!echo TEXT: Says TEXT back."
        status = await process.ask()
        assert {row["name"]: row["state"] for row in status["plugins"]} == {"echo": "running", "logging": "running"}
        assert status["nats"]["connected"]
    written = (process.state / "plugins" / "logging" / "cytube.log").read_text()
    assert "<alice> !echo it stands\n" in written
    assert "<rosey-bot> it stands\n" in written


async def test_a_bad_configuration_is_code_78(home: Path) -> None:
    """The message names file and line, has a caret and the nearest key, and no traceback."""
    text = EXAMPLE.read_text().replace("[plugins.echo] ", "[plugins.echo]\nsettings = { automatik = true }\n#")
    process = RoseyProcess(home, text)
    with pytest.raises(RoseyError, match="ended with code 78"):
        await process.start()
    told = process.log.read_text()
    assert "rosey.toml:" in told
    assert 'did you mean "automatic"?' in told
    assert "^" in told
    assert "Traceback" not in told


async def test_two_daemons_of_one_directory(rosey: RoseyProcess) -> None:
    """The second says that the first runs, and leaves it alone."""
    conf = rosey.state / "nats" / "nats.conf"
    before = conf.read_text()
    second = RoseyProcess(rosey.directory, environ={"TEST_PASSWORD": "x", "TEST_READER": "y"})
    with pytest.raises(
        RoseyError, match=r"(?s)ended with code 1.*another rosey .process \d+. runs with the state directory"
    ):
        await second.start()
    assert (await rosey.ask())["ready"]
    assert conf.read_text() == before


async def test_the_broker_goes_with_a_killed_daemon(rosey: RoseyProcess) -> None:
    """After `kill -9` of the daemon nats-server is gone as well, and the next start is like the first."""
    broker = int(
        rosey.log.read_text().partition('"event":"nats.listens"')[2].partition('"pid":')[2].partition("}")[0]
    )
    os.kill(broker, 0)
    rosey.send_signal(signal.SIGKILL)
    assert await rosey.ended() == -signal.SIGKILL
    await ended(broker)
    await rosey.start()
    assert (await rosey.ask())["ready"]


async def ended(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, gone.set)
    try:
        async with asyncio.timeout(5):
            await gone.wait()
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


@pytest.mark.parametrize(
    ("line", "told"),
    (
        ('state_directory = "/proc/nowhere"', "the state directory /proc/nowhere can't be used"),
        ('nats.server = "/no/such/nats-server"', "server names /no/such/nats-server, and there is no program there"),
        ('channels.cytube.proxy = "ftp://x"', '"proxy" should be socks5://HOST:PORT'),
        ('channels.cytube.password = { file = "nowhere" }', "nowhere can't be read"),
    ),
)
async def test_what_only_a_start_finds(home: Path, line: str, told: str) -> None:
    """It is code 78 and a sentence: starting again would find the same."""
    text = f'version = 1\n{line}\nchannels.cytube.room = "lobby"\nchannels.cytube.username = "bot"\n'
    process = RoseyProcess(home, text)
    with pytest.raises(RoseyError, match="ended with code 78"):
        await process.start()
    assert told in process.log.read_text()
    assert "Traceback" not in process.log.read_text()
