"""Plugins come, go and change while rosey runs, by the command line and by a signal; the room notices nothing."""

from __future__ import annotations

import json
import random
import signal
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.viewer import Viewer
from tests.promises.reading import said, states


@pytest.fixture(params=("inside", "process"))
def run(request: pytest.FixtureRequest) -> str:
    """Wherever the plugins run."""
    return str(request.param)


def in_the_room(status: dict[str, Any]) -> bool:
    """Whether the bot is in its room."""
    return bool(status["channels"]["cytube"]["state"] == "joined")


async def test_plugins_come_and_go(cytube: SimulatedCytube, make: Any, alice: Viewer, run: str) -> None:
    """Parked, released, restarted, disabled and enabled; others miss no event, and the bot never leaves the room."""
    async with make(cytube.url, "echo", "recorder") as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        await process.until("it has joined", in_the_room)
        steps = (
            (("plugins", "park", "echo"), "echo is parked", "!echo is not available now."),
            (("plugins", "release", "echo"), "echo was started", "hello"),
            (("plugins", "restart", "echo"), "echo was restarted", "hello"),
            (("plugins", "disable", "echo"), "reloaded; ended, begun or begun anew: echo", ""),
            (("plugins", "enable", "echo", "--yes"), "reloaded; ended, begun or begun anew: echo", "hello"),
        )
        for number, (arguments, told, answer) in enumerate(steps):
            cytube.room.say_as("bob", f"before {number}")
            code, output = await process.command(*arguments)
            assert (code, told in output) == (0, True), output
            cytube.room.say_as("bob", f"after {number}")
            if answer == "hello":
                await process.until("echo runs", lambda s: states(s)["echo"] == "running")
            cytube.room.say_as("eve", "!echo hello")
            if answer:
                assert await said(alice) == answer
        assert process.log.read_text().count("cytube.joined") == 1
        heard = process.state / "plugins" / "recorder" / "heard.jsonl"
        await process.until("all was heard", lambda _: f"after {len(steps) - 1}" in heard.read_text())
        texts = [json.loads(line)["text"] for line in heard.read_text().splitlines()]
        lines = [text for text in texts if text.startswith(("before", "after"))]
        assert lines == [f"{when} {number}" for number in range(len(steps)) for when in ("before", "after")]
        written = (process.directory / "conf.d" / "plugin-echo.toml").read_text()
        assert "enabled = true" in written
        assert run in {row["run"] for row in (await process.ask())["plugins"]}


async def test_a_bad_reload_changes_nothing(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """What is wrong with the file, or needs a restart, is told with its place, and everything goes on."""
    async with make(cytube.url, "echo") as process:
        await process.started()
        await process.until("it has joined", in_the_room)
        file = process.directory / "rosey.toml"
        good = file.read_text()
        for bad, told in (
            (good + "\n[plugins.echo.settings]\nautomatik = true\n", 'did you mean "automatic"?'),
            (good.replace("movienight", "elsewhere"), "channels.cytube.room changed, and only a restart of rosey"),
            (good + "\nnonsense", "rosey.toml:"),
            (
                good.replace("[plugins.echo]", '[plugins.echo]\ncommands = { echo = "list" }')
                + '\n[plugins.recorder]\nenabled = true\ngrant = ["chat.read", "chat.pm", "user.read", "media.read", '
                '"poll.read", "channel.read", "channel.state"]\n',
                "have the command list",
            ),
        ):
            file.write_text(bad)
            code, output = await process.command("ctl", "reload")
            assert code in {1, 78}
            assert told in output
            assert "Traceback" not in output
            cytube.room.say_as("eve", "!echo still here")
            assert await said(alice) == "still here"
            cytube.room.say_as("bob", "so that it is no loop")
        file.write_text(good)
        assert await process.command("ctl", "reload") == (0, "reloaded; nothing changed\n")


async def test_a_hangup_reloads(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """SIGHUP reads the configuration again; a bad one is told in the log, and a good one counts."""
    async with make(cytube.url, "echo") as process:
        await process.started()
        await process.until("it has joined", in_the_room)
        file = process.directory / "rosey.toml"
        good = file.read_text()
        file.write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        await process.until("it is refused", lambda _: "reload.refused" in process.log.read_text())
        file.write_text(good.replace("[plugins.echo]", '[plugins.echo]\ncommands = { echo = "say" }'))
        process.send_signal(signal.SIGHUP)
        await process.until("it is read", lambda _: '"event":"reloaded"' in process.log.read_text())
        await process.until("echo runs", lambda s: states(s)["echo"] == "running")
        cytube.room.say_as("eve", "!say hello")
        assert await said(alice) == "hello"


@pytest.mark.parametrize("run", ("inside",))
async def test_a_thousand_reloads(cytube: SimulatedCytube, make: Any) -> None:
    """Good and bad configurations in turn, at random: what runs is always what the last good one says, whole."""
    dice = random.Random(7)  # noqa: S311  a dice, no secret
    async with make(cytube.url, "echo") as process:
        await process.started()
        await process.until("it has joined", in_the_room)
        file = process.directory / "rosey.toml"
        base = file.read_text().partition("[plugins.echo]")[0]
        names = ("echo", "raiser", "censor", "asker", "badstart")
        grants = {
            "echo": ("chat.read", "chat.send"),
            "raiser": ("chat.read", "chat.send"),
            "censor": ("chat.read", "judge"),
            "asker": ("chat.read", "chat.send", "query:asker"),
            "badstart": ("chat.read",),
        }
        now: dict[str, str] = {"echo": "running"}
        for _ in range(1_000):
            chosen = [name for name in names if dice.random() < 0.5]
            tables = [
                f'[plugins.{name}]\nenabled = true\nrun = "inside"\ngrant = {json.dumps(grants[name])}\n'
                for name in chosen
            ]
            bad = dice.choice(
                ("", "", "[plugins.echo\n", "nonsense = 1\n", '[plugins.x.settings]\n"y" = \n', "prefix")
            )
            text = base.replace("[channels.cytube]", '[channels.cytube]\nprefix = "?"') if bad == "prefix" else base
            file.write_text(text + "".join(tables) + bad.replace("prefix", ""))
            try:
                await process.ask("reload")
            except Exception:
                assert bad
            else:
                assert not bad
                now = {name: "failed" if name == "badstart" else "running" for name in chosen}
            status = await process.until("it is whole", lambda s, want=dict(now): states(s) == want)
            assert status["channels"]["cytube"]["state"] == "joined"
        assert process.log.read_text().count("cytube.joined") == 1


@pytest.mark.parametrize("run", ("inside",))
async def test_without_and_safe(cytube: SimulatedCytube, make: Any) -> None:
    """Plugins may be left out of one start, whatever the configuration says."""
    for arguments, left in ((("--without", "echo"), {"recorder": "running"}), (("--safe",), {})):
        process = make(cytube.url, "echo", "recorder")
        process._arguments = ("run", *arguments)
        async with process:
            await process.started()
            assert states(await process.ask()) == left
    code, output = await process.command("run", "--without", "ecko")
    assert code == 78
    assert "did you mean echo?" in output


async def test_from_the_room(cytube: SimulatedCytube, make: Any, alice: Viewer) -> None:
    """Who has the rank that the owner wrote parks and releases a plugin by `!plugin`; others don't."""
    async with make(cytube.url, "echo", channel="plugin_rank = 5") as process:
        await process.started()
        await process.until("it has joined", in_the_room)
        async with Viewer(cytube.url, "movienight", "Olive", password="pw") as olive:
            await alice.say("!plugin park echo")
            for text, answer in (
                ("!plugin list", "echo: running"),
                ("!plugin park echo", "echo: done"),
                ("!plugin park echo", "echo does not run"),
                ("!plugin release ecko", "ecko is not enabled: rosey plugins enable ecko"),
                ("!plugin release echo", "echo: done"),
            ):
                await olive.say(text)
                assert await said(alice) == answer
                cytube.room.say_as("bob", "so that it is no loop")
        await process.until("echo runs", lambda s: states(s)["echo"] == "running")
