"""`rosey sandbox` as a new user runs it: in a process of its own, with a file, with a pipe, and on a terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from rosey_core import cli
from rosey_core.control import ask
from rosey_core.errors import RoseyError
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.sandbox import MADE, prepare
from tests.screen import on_terminal
from tests.written import SMALL

ROSEY = (sys.executable, "-m", "rosey_core", "sandbox")

SCENARIO = """\
alice joins
alice says !echo it works
expect rosey says it works within 20
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary directories go; its path is short, since sockets have to fit."""
    with tempfile.TemporaryDirectory(prefix="rosey-") as directory:
        monkeypatch.setenv("TMPDIR", directory)
        yield Path(directory)


async def run(*arguments: str, typed: bytes = b"", shell: str = "exec {}") -> tuple[int, str]:
    """Run the sandbox to its end, as a line for the shell says: exit code, and all that it printed."""
    child = await asyncio.create_subprocess_exec(
        *("sh", "-c", shell.format('"$0" "$@"'), *ROSEY, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await child.communicate(typed)
    return child.returncode or 0, output.decode()


def inside(place: Path) -> list[Path]:
    """What is in a directory."""
    return [*place.iterdir()]


def refused(*arguments: str) -> tuple[int, str]:
    """Run a sandbox that never begins: exit code, and what it says."""
    result = CliRunner().invoke(cli.main, ("sandbox", *arguments))
    assert "starting" not in result.output
    return result.exit_code, result.output


async def test_a_script_that_holds(tmp_path: Path) -> None:
    """The chat is shown, and the code is 0."""
    path = tmp_path / "good.txt"
    path.write_text(SCENARIO)
    code, output = await run("--script", str(path))
    assert code == 0, output
    assert "alice: !echo it works\nRosey: it works\n" in output


async def test_a_script_that_fails(tmp_path: Path) -> None:
    """The code is 1, and the line is named."""
    path = tmp_path / "bad.txt"
    path.write_text("alice joins\nalice says hello\nexpect rosey says goodbye within 0.5\n")
    code, output = await run("--script", str(path))
    assert code == 1
    assert f"{path}:3" in output
    assert "Traceback" not in output


async def test_a_script_that_is_cut_short(tmp_path: Path) -> None:
    """Who ends it before its end has not seen it hold: the code is 1, and it is told how far it came."""
    path = tmp_path / "long.txt"
    path.write_text("alice joins\nwait 60\nalice says hello\n")
    code, output = await run("--script", str(path), "--seconds", "0.5")
    assert code == 1
    assert output.endswith(f"rosey: {path}:2: the time was up at line 2 of 3, after 0.5 s\n")


def test_a_script_that_is_none(tmp_path: Path) -> None:
    """Nothing begins; the code is 1, and each error stands on a line of its own, above what a line may be."""
    path = tmp_path / "odd.txt"
    path.write_text("alice dances\nbob joins\nbob queues nonsense\n")
    code, output = refused("--script", str(path))
    assert code == 1
    assert output.splitlines()[:4] == [
        f"rosey: {path} can't be played:",
        f"{path}:1: can't be read: alice dances",
        f"{path}:3: this is no link that CyTube knows: bob queues nonsense",
        "what a line may be:",
    ]


def test_a_script_that_is_no_text(tmp_path: Path) -> None:
    """It is named, with what is wrong; a mark of byte order at the beginning is not."""
    path = tmp_path / "odd.txt"
    path.write_bytes(b"alice says caf\xff\n")
    code, output = refused("--script", str(path))
    assert code == 1
    assert output.startswith(f"rosey: {path} can't be read: 'utf-8' codec can't decode byte 0xff in position 14")
    path.write_bytes(b"\xef\xbb\xbfalice dances\n")
    assert f"{path}:1: can't be read: alice dances\n" in refused("--script", str(path))[1]


@pytest.mark.parametrize("seconds", ("nan", "inf", "-1", "soon"))
def test_seconds_that_are_none(seconds: str) -> None:
    """They are refused as they are read."""
    code, output = refused(f"--seconds={seconds}")
    assert code == 2
    assert "Invalid value for '--seconds'" in output


def test_the_help() -> None:
    """It says what a line of a script may be, within 80 columns."""
    code, output = refused("--help")
    assert code == 0
    assert "expect NAME says TEXT" in output
    assert max(map(len, output.splitlines())) <= 80


def test_a_directory_of_somebody_else(place: Path) -> None:
    """One with files that no sandbox made is left as it is; one that a sandbox made is taken again."""
    home = place / "home"
    home.mkdir()
    assert prepare(home) == home
    for name in ("rosey.toml", "password", "rosey-state"):
        (home / name).write_text("mine")
        code, output = refused("--directory", str(home))
        assert code == 1
        assert f"{home} holds {name}, which no sandbox made" in output
        assert [(path.name, path.read_text()) for path in home.iterdir()] == [(name, "mine")]
        (home / name).unlink()
    (home / "password").write_text("ours")
    (home / "rosey.toml").write_text(f"{MADE}\nversion = 1\n")
    assert prepare(home) == home


@pytest.mark.parametrize(
    ("name", "why"),
    (
        ("file/below", "Not a directory"),
        ("circle", "can't be used"),
        ("x" * 90, "too long for the bot's socket"),
        ("x" * 300, "too long for the bot's socket"),
    ),
)
def test_a_directory_that_is_none(place: Path, name: str, why: str) -> None:
    """It is told why it can't be used, and nothing is made."""
    (place / "file").touch()
    (place / "circle").symlink_to("circle")
    with pytest.raises(RoseyError, match=why):
        prepare(place / name)
    assert {path.name for path in place.iterdir()} == {"file", "circle"}


async def test_a_second_sandbox_in_the_same_directory(place: Path) -> None:
    """It is told so and touches nothing; when the first has ended, it may."""
    script = place / "ready.txt"
    script.write_text("alice joins\n")
    again = ("--directory", str(place / "home"))
    async with on_terminal(*ROSEY, *again) as screen:
        await screen.until(lambda: screen.below == "Vera>")
        before = (place / "home" / "rosey.toml").read_text()
        code, output = await run(*again, "--script", str(script))
        assert code == 1
        assert "another sandbox runs in" in output
        assert (place / "home" / "rosey.toml").read_text() == before
        screen.press(b"\x04")
        assert await screen.ended() == 0
    code, output = await run(*again, "--script", str(script))
    assert code == 0, output


async def test_a_pipe(tmp_path: Path) -> None:
    """What comes through a pipe is said and done; the files are kept where one says, and /quit is the end."""
    home = tmp_path / "kept"
    code, output = await run("--directory", str(home), typed=b"!help \xff\n/as owner\n/who\n/dance\n/status\n/quit\n")
    assert code == 0, output
    assert "Vera: !help �\n" in output
    assert "you are Olive, the owner\n" in output
    assert "Rosey (3)" in output
    assert "cytube" in output
    assert "there is no /dance; /help lists what there is\n" in output
    assert (home / "rosey.toml").exists()
    assert (home / "rosey-state" / "plugins" / "logging" / "cytube.log").exists()


async def test_seconds() -> None:
    """It ends by itself, also with nobody at the keyboard, and shows the bot at work meanwhile."""
    code, output = await run("--seconds", "4")
    assert code == 0, output
    assert "Rosey is in the room" in output
    assert output.endswith("the end\n")


@pytest.mark.parametrize(
    ("shell", "code", "last"),
    (
        ("exec {} <&-", 0, "the end"),
        ("exec {} >&-", 0, ""),
        pytest.param(
            "exec {} >/dev/full",
            1,
            "rosey: its output, or a file of its own, can't be written: No space left on device",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has it"),
        ),
        ("{{ {}; echo $? >&2; }} | head -n 1", 0, "141"),
    ),
)
async def test_what_is_closed_or_full(place: Path, shell: str, code: int, last: str) -> None:
    """The sandbox does without, or ends with a sentence; no traceback, and nothing is left behind."""
    found, output = await run("--seconds", "1", shell=shell)
    assert (found, output.splitlines()[-1:]) == (code, [last][: len(last)])
    assert "Traceback" not in output
    assert not inside(place)


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
async def test_a_signal(place: Path, number: signal.Signals) -> None:
    """Like Ctrl-C: the bot is ended in order though the signal was for all, secrets go, and the code says which."""
    home = place / "home"
    async with on_terminal(*ROSEY, "--directory", str(home)) as screen:
        await screen.until(lambda: screen.below == "Vera>")
        status = await ask(home / "rosey-state" / "control.sock", "status")
        os.killpg(screen.child.pid, number)
        assert await screen.ended() == 128 + number
        assert "Vera>" not in screen.lines
    assert inside(place) == [home]
    assert '"event":"stopped"' in (home / "rosey.log").read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(status["pid"], 0)


async def test_a_terminal_that_goes_away(place: Path, tmp_path: Path) -> None:
    """The sandbox ends as at any other time, and says why where that can still be read."""
    errors = tmp_path / "errors"
    async with on_terminal("sh", "-c", f'exec "$0" "$@" 2>{errors}', *ROSEY) as screen:
        await screen.until(lambda: screen.below == "Vera>")
        screen.close()
        assert await screen.ended() == 1
    assert errors.read_text() == "rosey: its output, or a file of its own, can't be written: Input/output error\n"
    assert not inside(place)


async def test_a_signal_at_the_start(place: Path) -> None:
    """It does not wait until everything is there."""
    async with on_terminal(*ROSEY) as screen:
        await screen.shows("starting a simulated CyTube, nats-server and rosey ...")
        screen.child.send_signal(signal.SIGTERM)
        assert await screen.ended() == 128 + signal.SIGTERM
    assert not inside(place)


async def test_a_start_that_is_cancelled_leaves_no_bot(place: Path) -> None:
    """Its process is ended before the cancellation is passed on."""
    begun = asyncio.Event()

    class Slow(RoseyProcess):
        async def ready(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    process = Slow(place, SMALL)
    task = asyncio.create_task(process.__aenter__())
    await begun.wait()
    assert process.running
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not process.running


async def test_variables_of_another_rosey(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for a rosey in a real room does not send this one there."""
    monkeypatch.setenv("ROSEY_CHANNELS__CYTUBE__ROOM", "lobby")
    monkeypatch.setenv("ROSEY_CONFIG", "/nowhere/rosey.toml")
    code, output = await run("--seconds", "0")
    assert code == 0, output
    assert "Rosey is in the room" in output


async def test_a_terminal() -> None:
    """On a terminal the prompt says who one is, what comes stands above it, and Ctrl-D is the end."""
    async with on_terminal(*ROSEY, environ={"NO_COLOR": "1"}) as screen:
        await screen.until(lambda: screen.below == "Vera>")
        screen.press(b"!echo from a terminal\r")
        await screen.shows("Rosey: from a terminal")
        screen.press(b"/as mo\r")
        await screen.until(lambda: screen.below == "Mo>")
        screen.press(b"/as owner\r/kick Mo bye\r")
        await screen.shows("Mo is kicked: bye")
        screen.press(b"/as mo\rback again\r")
        await screen.shows("Mo: back again")
        screen.press(b"/as owner\r/kick Vera bye\r")
        await screen.shows("Vera is kicked: bye")
        screen.press(b"/as viewer\rI see again\r")
        await screen.shows("Vera: I see again")
        assert screen.lines.count("Mo: back again") == 1
        screen.press(b"/dance\r/me dances\r")
        await screen.shows("* Vera dances")
        assert "there is no /dance; /help lists what there is" in screen.lines
        screen.press(b"/help\r")
        await screen.until(lambda: any("/mute NAME" in line for line in screen.lines))
        assert any("/poll TITLE" in line for line in screen.lines)
        screen.press(b"\x04")
        assert await screen.ended() == 0
        await screen.shows("the end")
        assert not [line for line in screen.lines if ">" in line]


async def test_who_types_commands_quickly_is_told_why_there_is_no_answer() -> None:
    """The bot's guard against other bots says in its log alone whom it silences; here one sees it."""
    async with on_terminal(*ROSEY, environ={"NO_COLOR": "1"}, columns=120) as screen:
        await screen.until(lambda: screen.below == "Vera>")
        screen.press(b"/as mo\r")
        for word in ("one", "two", "three"):
            screen.press(f"!echo {word}\r".encode())
            await screen.shows(f"Rosey: {word}")
        screen.press(b"!echo four\r")
        told = "they answered each other 3 times within 10 s (a guard against two bots)"
        await screen.shows(f"Rosey does not answer Mo for 60 s: {told}")
        assert "Rosey: four" not in screen.lines
