"""What others publish: a package of its own is built, installed, found, granted and run, and a file is enough."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer
from tests.promises.reading import said

CONTRIB = Path(__file__).parents[2] / "contrib"

pytestmark = pytest.mark.slow


async def python(*arguments: str, cwd: Path, environ: dict[str, str] | None = None) -> str:
    """Run a module of this interpreter; what it printed."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        cwd=cwd,
        env=os.environ | (environ or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await child.communicate())[0].decode()
    assert child.returncode == 0, output
    return output


@pytest.fixture
async def dice(tmp_path: Path) -> Path:
    """Where the dice are installed from their wheel; nothing is fetched for that."""
    source, wheels, site = tmp_path / "source", tmp_path / "wheels", tmp_path / "site"
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".*")
    shutil.copytree(CONTRIB / "rosey-plugin-dice", source, ignore=ignored)
    alone = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    await python("pip", "wheel", *alone, "--no-build-isolation", "--wheel-dir", str(wheels), ".", cwd=source)
    (wheel,) = wheels.iterdir()
    await python("pip", "install", *alone, "--target", str(site), str(wheel), cwd=tmp_path)
    return site


async def test_a_package(
    dice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cytube: SimulatedCytube, make: Any, alice: Viewer
) -> None:
    """It is held until its owner grants what it asks for, then runs in a process; its own tests pass as installed."""
    monkeypatch.setenv("PYTHONPATH", f"{dice}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    process = make(cytube.url, "echo", rest="[plugins.dice]\nenabled = true")
    async with process:
        (row,) = [row for row in (await process.ask())["plugins"] if row["name"] == "dice"]
        assert row["state"] == "held"
        assert row["reason"] == 'not granted: chat.send; under [plugins.dice] write  grant = ["chat.send"]'
    with process.directory.joinpath("rosey.toml").open("a") as file:
        file.write('grant = ["chat.send"]\n')
    async with process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        (row,) = [row for row in (await process.ask())["plugins"] if row["name"] == "dice"]
        assert (row["state"], row["run"], row["version"]) == ("running", "process", "1.0.0")
        await alice.say("!roll 2d6")
        line = await said(alice)
        told = re.fullmatch(r"alice rolled 2d6: \[([1-6]) ([1-6])\] = ([0-9]+)", line)
        assert told is not None, line
        assert int(told[1]) + int(told[2]) == int(told[3])
    shutil.copytree(CONTRIB / "rosey-plugin-dice" / "tests", tmp_path / "own" / "tests")
    shutil.copy(CONTRIB / "rosey-plugin-dice" / "pyproject.toml", tmp_path / "own")
    assert " passed" in await python("pytest", "-q", "-p", "no:xdist", cwd=tmp_path / "own")


GREET = """\
from rosey_core.api import CommandCall, Context, Manifest, NormalizedEvent, Settings, command, hookimpl


class Greet:
    manifest = Manifest(name="greet", summary="Greets.", asks=("user.read", "chat.send"))

    def __init__(self, settings: Settings) -> None:
        self.greeted = 0

    @hookimpl
    async def on_user_joined(self, ctx: Context, event: NormalizedEvent) -> None:
        self.greeted += 1
        ctx.say(f"Welcome, {event.data.name}!")

    @command("greeted")
    async def count(self, ctx: Context, call: CommandCall) -> str:
        return f"{self.greeted} so far, {call.user}."
"""


def program(name: str, folder: str, *command: str) -> str:
    """The table of a worker in `contrib`."""
    path = CONTRIB / folder / "worker.json"
    asks = json.loads(path.read_text())["asks"]
    return (
        f"[plugins.{name}]\nenabled = true\ngrant = {json.dumps(asks)}\n"
        f"path = {json.dumps(str(path))}\nprogram = {json.dumps(command)}\n"
    )


async def tells(cytube: SimulatedCytube, process: RoseyProcess, alice: Viewer) -> None:
    """A worker hears lines, answers `!tell`, and its receipts are true, also behind a restart of NATS."""
    await cytube.wait_for(lambda: cytube.room.find("Rosey"))
    await process.started()
    await alice.say("a line")
    assert await told(alice) in {1, 2}  # its own line may come behind it
    await alice.say("!tell")
    assert (await said(alice)).startswith("alice: there is nothing to say: CyTube drops blank lines, and I heard ")
    broker = json.loads(next(x for x in process.log.read_text().splitlines() if "nats.listens" in x))["pid"]
    os.kill(broker, signal.SIGKILL)
    cytube.room.say_as("bob", "a line to nobody")
    await process.until("NATS is back", lambda told: told["nats"]["starts"] == 2 and told["nats"]["connected"])
    lines, heard = 4, 0
    while heard < lines:  # the worker comes back when it comes, and then all lines come
        cytube.room.say_as("bob", "somebody else speaks between, or it would look like two bots")
        lines += 2
        heard = await told(alice)
    assert heard == lines
    assert await process.stop() == 0


async def told(alice: Viewer) -> int:
    """How many lines the worker heard; 0 while it is away."""
    await alice.say("!tell this")
    if (line := await said(alice)) == "!tell is busy or took too long; try again later.":
        return 0
    assert line == "this"
    line = await said(alice)
    assert line.startswith("alice: done, and I heard ")
    return int(line.split()[-2])


async def test_forty_lines_of_python(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """A worker that imports nothing of rosey is a plugin."""
    code = (CONTRIB / "worker-in-40-lines" / "worker.py").read_text()
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    assert "rosey_" not in code
    table = program("forty", "worker-in-40-lines", sys.executable, "worker.py")
    async with make(cytube.url, "echo", rest=table) as process:
        await tells(cytube, process, alice)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.skipif(
    not (CONTRIB / "worker-in-node" / "node_modules").is_dir(),
    reason="its NATS client is not installed: npm install in contrib/worker-in-node",
)
async def test_a_worker_in_javascript(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """A plugin need not be in Python."""
    async with make(cytube.url, "echo", rest=program("node", "worker-in-node", "node", "worker.js")) as process:
        await tells(cytube, process, alice)


async def test_a_file(cytube: SimulatedCytube, make: Any, home: Path, alice: Viewer) -> None:
    """A file beside rosey.toml is a plugin, and runs in a process of its own."""
    home.joinpath("plugins").mkdir()
    home.joinpath("plugins", "greet.py").write_text(GREET)
    table = '[plugins.greet]\nenabled = true\npath = "plugins/greet.py"\ngrant = ["user.read", "chat.send"]'
    async with make(cytube.url, "echo", rest=table) as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        (row,) = [row for row in (await process.ask())["plugins"] if row["name"] == "greet"]
        assert (row["state"], row["run"]) == ("running", "process")
        async with Viewer(cytube.url, "movienight", "bob"):
            assert await said(alice) == "Welcome, bob!"
            await alice.say("!greeted")
            assert await said(alice) == "1 so far, alice."
    assert [path.name for path in home.joinpath("plugins").iterdir()] == ["greet.py"]
