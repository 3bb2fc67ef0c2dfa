"""Promise 5 and the first half of 3: a plugin in a process of its own, killed, frozen, cut off, and back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

import rosey_core
from rosey_core.errors import RoseyError
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess, alive
from rosey_core.testing.viewer import Viewer


@pytest.fixture
def run() -> str:
    """All of them in processes."""
    return "process"


def pid_of(process: RoseyProcess, plugin: str) -> int:
    """The process of a plugin, as the log told it last."""
    rows = [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]
    pids = [row["pid"] for row in rows if row["event"] == "plugin.running" and row["plugin"] == plugin]
    return int(pids[-1])


def row_of(status: dict[str, Any], plugin: str) -> dict[str, Any]:
    """What the status says of a plugin."""
    row: dict[str, Any] = next(row for row in status["plugins"] if row["name"] == plugin)
    return row


async def back(process: RoseyProcess, plugin: str, old: int, seconds: float = 20) -> int:
    """Wait until a plugin runs in another process than `old`; that one."""
    await process.until(
        "it is back",
        lambda s: row_of(s, plugin)["state"] == "running" and pid_of(process, plugin) != old,
        seconds,
    )
    return pid_of(process, plugin)


async def gone(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    async with asyncio.timeout(10):
        while alive(pid):  # noqa: ASYNC110  nobody tells of it
            await asyncio.sleep(0.02)


@pytest.mark.timeout(300)
async def test_killed_again_and_again(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """Each time it is back; its lines come all, in order; what is asked meanwhile is answered at once, and once."""
    times = 50
    async with make(cytube.url, "echo", "recorder") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        began = len(alice.lines)
        for number in range(times):
            names = ("echo", "recorder") if number % 5 == 0 else ("echo",)
            victims = {name: pid_of(process, name) for name in names}
            for pid in victims.values():
                os.kill(pid, signal.SIGKILL)
            cytube.room.say_as("bob", f"line {number}")
            await process.until("it is gone", lambda s: row_of(s, "echo")["state"] != "running")
            cytube.room.say_as("eve", "!echo while it is away")
            assert await alice.expect_line(lambda name, _: name == "Rosey") == "!echo is not available now."
            for name, pid in victims.items():
                await back(process, name, pid)
            cytube.room.say_as("bob", "so that it looks like no loop")
            cytube.room.say_as("eve", f"!echo {number}")
            assert await alice.expect_line(lambda name, _: name == "Rosey") == str(number)
        said = [text for name, text in alice.lines[began:] if name == "Rosey" and text.isdigit()]
        assert said == [str(number) for number in range(times)]
        heard = process.state / "plugins" / "recorder" / "heard.jsonl"
        await process.until("all was heard", lambda _: f"!echo {times - 1}" in heard.read_text())
        texts = [json.loads(line)["text"] for line in heard.read_text().splitlines()]
        lines = [text for text in texts if text.startswith("line ")]
        # A list that a dying worker had comes again, whole: each line at least once, in order.
        assert sorted(set(lines), key=lines.index) == [f"line {number}" for number in range(times)]
        assert row_of(await process.ask(), "recorder")["dropped"] == 0


async def test_frozen(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """A process that is stopped holds up nobody; it is taken for hung, killed, and back with all that waited."""
    async with make(cytube.url, "echo", "recorder") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        frozen = pid_of(process, "recorder")
        os.kill(frozen, signal.SIGSTOP)
        await alice.say("while it is frozen")
        await alice.say("!echo hello")
        assert await alice.expect_line(lambda name, _: name == "Rosey") == "hello"
        await back(process, "recorder", frozen, 40)
        assert "it did not answer for 10 s" in process.log.read_text()
        heard = process.state / "plugins" / "recorder" / "heard.jsonl"
        await process.until("it hears what it missed", lambda _: "while it is frozen" in heard.read_text())


async def test_a_frozen_judge(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """A judge in a process decides; stopped, it holds up no line for long; back, it decides again."""

    async def answer(*texts: str) -> str:
        for text in texts:
            cytube.room.say_as("eve", f"!echo {text}")
        return str(await alice.expect_line(lambda name, _: name == "Rosey"))

    async with make(cytube.url, "echo", "censor") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        assert await answer("spam", "ham") == "ham"
        judge = pid_of(process, "censor")
        os.kill(judge, signal.SIGSTOP)
        assert await answer("some more spam") == "some more spam"
        assert row_of(await process.ask(), "censor")["overdue"] == 1
        cytube.room.say_as("eve", "so that it looks like no loop")
        await back(process, "censor", judge, 40)
        assert await answer("spam again", "eggs") == "eggs"


async def test_nats_is_killed(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """Workers stay alive, are connected again, and get the rest of their lanes once."""
    async with make(cytube.url, "echo", "recorder") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        worker = pid_of(process, "recorder")
        for round_ in range(3):
            told = [json.loads(line) for line in process.log.read_text().splitlines() if "nats.listens" in line]
            os.kill(told[-1]["pid"], signal.SIGKILL)
            for number in range(20):
                cytube.room.say_as("bob", f"line {round_} {number}")
                await asyncio.sleep(0.01)
            await process.until(
                "NATS is back", lambda s, n=round_ + 2: s["nats"]["starts"] >= n and s["nats"]["connected"]
            )
        heard = process.state / "plugins" / "recorder" / "heard.jsonl"
        await process.until("all was heard", lambda _: "line 2 19" in heard.read_text())
        lines = [json.loads(line)["text"] for line in heard.read_text().splitlines()]
        lines = [text for text in lines if text.startswith("line ")]
        assert lines == [f"line {a} {b}" for a in range(3) for b in range(20)]
        assert pid_of(process, "recorder") == worker
        answer = ""
        for _ in range(20):  # echo's process may be a moment behind
            cytube.room.say_as("eve", "!echo hello")
            answer = await alice.expect_line(lambda name, _: name == "Rosey")
            cytube.room.say_as("bob", "so that it looks like no loop")
            if answer == "hello":
                break
        assert answer == "hello"


async def test_they_go_with_a_killed_daemon(cytube: SimulatedCytube, make: Any) -> None:
    """After `kill -9` of the daemon its workers are gone as well."""
    async with make(cytube.url, "echo", "recorder") as process:
        await process.started()
        workers = [pid_of(process, name) for name in ("echo", "recorder")]
        process.send_signal(signal.SIGKILL)
        assert await process.ended() == -signal.SIGKILL
        for pid in workers:
            await gone(pid)


PLUGIN = '''
import zoo_dependency
from rosey_core.api import CommandCall, Context, Manifest, Settings, command


class Picky:
    manifest = Manifest(name="picky", summary="Needs version 2.", asks=("chat.read", "chat.send"))

    def __init__(self, settings: Settings) -> None:
        assert zoo_dependency.VERSION == 2

    @command("picky")
    async def picky(self, ctx: Context, call: CommandCall) -> str:
        """Tells its version."""
        return f"version {zoo_dependency.VERSION}"
'''


def other_interpreter(directory: Path) -> Path:
    """An environment of its own, with rosey and a plugin whose dependency is another version than ours."""
    venv.create(directory, with_pip=False)
    site = next((directory / "lib").glob("python*/site-packages"))
    rosey = Path(rosey_core.__file__).parents[1]
    (site / "rosey.pth").write_text("\n".join((str(rosey), *(path for path in sys.path if "site-packages" in path))))
    (site / "zoo_dependency.py").write_text("VERSION = 2\n")
    (site / "zoo_picky.py").write_text(PLUGIN)
    info = site / "picky-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: picky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rosey.plugins]\npicky = zoo_picky:Picky\n")
    return directory / "bin" / "python"


async def test_an_interpreter_of_its_own(cytube: SimulatedCytube, make: Any, alice: Viewer, home: Path) -> None:
    """A plugin that only another interpreter has, with a dependency that is at odds with ours, runs beside ours."""
    python = other_interpreter(home / "other")
    ours = home / "ours"
    ours.mkdir()
    (ours / "zoo_dependency.py").write_text("VERSION = 1\n")
    tables = f'[plugins.picky]\nenabled = true\npython = "{python}"\ngrant = ["chat.read", "chat.send"]'
    environ = {"PYTHONPATH": os.pathsep.join((str(ours), os.environ.get("PYTHONPATH", "")))}
    async with make(cytube.url, "echo", rest=tables, environ=environ) as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        assert row_of(await process.ask(), "picky")["state"] == "running"
        await alice.say("!picky")
        assert await alice.expect_line(lambda name, _: name == "Rosey") == "version 2"
        await alice.say("!echo and ours")
        assert await alice.expect_line(lambda name, _: name == "Rosey") == "and ours"


async def test_limits(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """Who wants more memory than the owner allows gets none, and the others go on."""
    async with make(cytube.url, "echo", "hog", rest="[plugins.hog.limits]\nmemory_mib = 512") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        await alice.say("!hog")
        assert await alice.expect_line(lambda name, _: name == "Rosey") == "!hog failed. The bot's log says why."
        assert "MemoryError" in process.log.read_text()
        await alice.say("!echo still here")
        assert await alice.expect_line(lambda name, _: name == "Rosey") == "still here"


async def test_required(cytube: SimulatedCytube, make: Any) -> None:
    """Rosey is ready when the required plugin runs, and ends with a sentence when it can't."""
    async with make(
        cytube.url,
        "echo",
        rest='[plugins.asker]\nenabled = true\nrequired = true\ngrant = ["chat.read", "chat.send", "query:asker"]',
    ) as process:
        assert row_of(await process.ask(), "asker")["state"] == "running"
    bad = make(cytube.url, "echo", rest='[plugins.badstart]\nenabled = true\nrequired = true\ngrant = ["chat.read"]')
    with pytest.raises(
        RoseyError, match=r"(?s)ended with code 1.*the required plugin badstart failed: .*no space left"
    ):
        await bad.start()


async def test_parked_with_its_last_words(cytube: SimulatedCytube, make: Any) -> None:
    """One that ends at every start is parked, with the reason and the last lines that it printed."""
    rest = '[plugins.dies]\nenabled = true\npath = "dies.py"\ngrant = ["chat.read"]'
    process = make(cytube.url, "echo", rest=rest)
    (process.directory / "dies.py").write_text(DIES)
    async with process:
        status = await process.until("it is parked", lambda s: row_of(s, "dies")["state"] == "parked", 60)
        row = row_of(status, "dies")
        assert row["reason"].startswith("5 starts in vain; the last: its process ended (exit code 3): last words 29")
        assert row["log"][-1] == "last words 29"
        assert len(row["log"]) == 20
        code, shown = await process.command("plugins", "show", "dies")
        assert code == 0
        assert "dies: parked in cytube (5 starts in vain" in shown
        assert "  | last words 29\n" in shown
        assert row_of(status, "echo")["state"] == "running"


DIES = '''
import os
import sys
from rosey_core.api import Manifest, Settings


class Dies:
    """Dies when it is made."""

    manifest = Manifest(name="dies", summary="Dies.", asks=("chat.read",))

    def __init__(self, settings: Settings) -> None:
        for number in range(30):
            print("last words", number, file=sys.stderr, flush=True)
        os._exit(3)
'''
