"""`rosey sandbox` as a new user runs it: in a process of its own, with a file, with a pipe, and on a terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from pathlib import Path

ROSEY = (sys.executable, "-m", "rosey_core", "sandbox")

SCENARIO = """\
alice joins
alice says !echo it works
expect rosey says it works within 20
"""


async def run(*arguments: str, typed: str = "") -> tuple[int, str]:
    """Run the sandbox to its end: exit code, and all that it printed."""
    child = await asyncio.create_subprocess_exec(
        *(*ROSEY, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await child.communicate(typed.encode())
    return child.returncode or 0, output.decode()


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


async def test_a_script_that_is_none(tmp_path: Path) -> None:
    """The code is 1, and the error says what a line may be."""
    path = tmp_path / "odd.txt"
    path.write_text("alice dances\n")
    code, output = await run("--script", str(path))
    assert code == 1
    assert f"{path}:1" in output
    assert "Traceback" not in output


async def test_a_pipe(tmp_path: Path) -> None:
    """What comes through a pipe is said and done; the files are kept where one says, and /quit is the end."""
    home = tmp_path / "kept"
    code, output = await run("--directory", str(home), typed="!help\n/as owner\n/who\n/status\n/nonsense\n/quit\n")
    assert code == 0, output
    assert "Vera: !help\n" in output
    assert "you are Olive, the owner\n" in output
    assert "Rosey (3)" in output
    assert "cytube" in output
    assert (home / "rosey.toml").exists()
    assert (home / "rosey-state" / "plugins" / "logging" / "cytube.log").exists()


async def test_seconds() -> None:
    """It ends by itself, also with nobody at the keyboard, and shows the bot at work meanwhile."""
    code, output = await run("--seconds", "4")
    assert code == 0, output
    assert "Rosey is in the room" in output
    assert output.endswith("the end\n")


async def test_a_terminal() -> None:
    """On a terminal the prompt says who one is, what comes stands above it, and Ctrl-D is the end."""
    ours, theirs = pty.openpty()
    child = await asyncio.create_subprocess_exec(
        *ROSEY, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm"}
    )
    os.close(theirs)
    loop = asyncio.get_running_loop()
    screen = ""
    news = asyncio.Event()

    def read() -> None:
        nonlocal screen
        try:
            screen += os.read(ours, 65536).decode(errors="replace")
        except OSError:  # the other end is closed
            loop.remove_reader(ours)
        news.set()

    async def shown(text: str) -> None:
        async with asyncio.timeout(30):
            while text not in screen:
                news.clear()
                await news.wait()

    loop.add_reader(ours, read)
    try:
        await shown("Vera> ")
        os.write(ours, b"!echo from a terminal\r")
        await shown("\x1b[1mRosey\x1b[0m: from a terminal")
        os.write(ours, b"/as mo\r")
        await shown("Mo> ")
        os.write(ours, b"/as owner\r/kick Mo bye\r")
        await shown("Mo is kicked: bye")
        os.write(ours, b"/as mo\rback again\r")
        await shown("\x1b[1mMo\x1b[0m: back again")
        os.write(ours, b"/as owner\r/kick Vera bye\r")
        await shown("Vera is kicked: bye")
        os.write(ours, b"/as viewer\rI see again\r")
        await shown("\x1b[1mVera\x1b[0m: I see again")
        assert screen.count("\x1b[1mMo\x1b[0m: back again") == 1
        os.write(ours, b"\x04")
        async with asyncio.timeout(20):
            assert await child.wait() == 0
        await shown("the end")
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        if child.returncode is None:
            child.kill()
            await child.wait()
