"""The terminal that shows lines while one is typed: a small program with it, on a real terminal and with pipes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.screen import Screen, on_terminal

PROGRAM = """\
import asyncio, signal, sys
from contextlib import aclosing
from rosey_core.cli.terminal import Terminal

async def main():
    lost = asyncio.get_running_loop().create_future()
    terminal = Terminal(lost.set_result)
    terminal.prompt = "me> "
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, sys.exit, 130)
    # What others say comes through a pipe.
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), open(int(sys.argv[1]), "rb")
    )
    async def others():
        async for line in reader:
            terminal.show(line.decode().rstrip(), who="bob")
    task = asyncio.create_task(others())
    terminal.show("begun")
    async with aclosing(terminal.lines()) as lines:
        async for line in lines:
            if line == "/quit":
                break
            terminal.show(line, who="me")
    terminal.show("ended")

asyncio.run(main())
"""


class Others:
    """What others say while somebody types."""

    def __init__(self, end: int) -> None:
        self._end = end

    def say(self, *lines: str) -> None:
        """Say lines at once."""
        os.write(self._end, "".join(f"{line}\n" for line in lines).encode())


@asynccontextmanager
async def program(columns: int = 80, **environ: str) -> AsyncIterator[tuple[Screen, Others]]:
    """The program on a terminal without colours."""
    theirs, ours = os.pipe()
    try:
        command = (sys.executable, "-c", PROGRAM, str(theirs))
        environ = {"NO_COLOR": "1"} | environ
        async with on_terminal(*command, columns=columns, environ=environ, pass_fds=(theirs,)) as screen:
            await screen.until(lambda: screen.below == "me>")
            yield screen, Others(ours)
    finally:
        os.close(theirs)
        os.close(ours)


async def test_what_is_typed_stays_whole() -> None:
    """Lines that come stand above it, once each and whole; the cursor stays where it was."""
    async with program() as (screen, others):
        screen.press(b"hello wrld\x1b[D\x1b[D\x1b[D")
        await screen.until(lambda: screen.below == "me> hello wrld")
        others.say("one", "two", "three " + "x" * 100)
        others.say("four")
        await screen.shows("bob: four")
        screen.press(b"o")
        await screen.until(lambda: screen.below == "me> hello world")
        assert [line for line in screen.lines if line.startswith("me>")] == ["me> hello world"]
        screen.press(b"\r")
        await screen.shows("me: hello world")
        await screen.until(lambda: screen.below == "me>")
        assert screen.lines == [
            "begun",
            "bob: one",
            "bob: two",
            "bob: three " + "x" * 69,
            "x" * 31,
            "bob: four",
            "me: hello world",
            "me>",
        ]


async def test_a_line_longer_than_the_terminal_is_wide() -> None:
    """It is wrapped as it is typed, and lines that come leave nothing of it behind."""
    async with program(columns=20) as (screen, others):
        screen.press(b"a line of more than one row")
        await screen.until(lambda: screen.lines[-2:] == ["me> a line of more t", "han one row"])
        others.say("hi")
        await screen.shows("bob: hi")
        await screen.until(lambda: screen.below == "han one row")
        assert screen.lines == ["begun", "bob: hi", "me> a line of more t", "han one row"]


@pytest.mark.parametrize(("keys", "code"), ((b"\x04", 0), (b"/quit\r", 0), (b"half a line\x03", 130)))
async def test_the_end_leaves_no_prompt(keys: bytes, code: int) -> None:
    """Ctrl-D, an order or Ctrl-C: the prompt goes, and what was typed with it."""
    async with program() as (screen, _):
        screen.press(keys)
        assert await screen.ended() == code
        await screen.until(lambda: screen.lines == ["begun", "ended"][: 2 - (code > 0)])


async def test_several_lines_are_pasted_and_some_is_no_text() -> None:
    """Each line is one; bytes that are no UTF-8 are shown as what can't be read."""
    async with program() as (screen, _):
        screen.press(b"\x1b[200~one\ntwo\x1b[201~\r")
        await screen.shows("me: two")
        screen.press(b"caf\xff\r")
        await screen.shows("me: caf�")
        assert screen.lines[:3] == ["begun", "me: one", "me: two"]


async def test_a_terminal_that_can_do_nothing() -> None:
    """Without cursor, colours and some characters, lines are read and printed as they come."""
    theirs, ours = os.pipe()
    command = (sys.executable, "-c", PROGRAM, str(theirs))
    async with on_terminal(
        *command, environ={"TERM": "dumb", "PYTHONIOENCODING": "latin-1"}, pass_fds=(theirs,)
    ) as screen:
        await screen.shows("begun")
        screen.press(b"hello\r")
        await screen.shows("me: hello")
        Others(ours).say("5 €")
        await screen.shows("bob: 5 ?")
        screen.press(b"\x04")
        assert await screen.ended() == 0
        await screen.shows("ended")
        assert screen.lines == ["begun", "hello", "me: hello", "bob: 5 ?", "ended"]
    os.close(theirs)
    os.close(ours)


@pytest.mark.parametrize(
    ("shell", "shown"),
    (
        ("printf 'one\\ntwo \\377' | {}", "begun\nme: one\nme: two �\nended\n"),
        ("{} <&-", "begun\nended\n"),
        ("{} </dev/null >&-", ""),
        ("printf '/quit\\nnever' | {}", "begun\nended\n"),
    ),
)
async def test_pipes(shell: str, shown: str) -> None:
    """What comes through a pipe is read to its end; what is closed is neither read nor written."""
    theirs, ours = os.pipe()
    child = await asyncio.create_subprocess_exec(
        *("sh", "-c", shell.format('"$0" -c "$1" "$2"'), sys.executable, PROGRAM, str(theirs)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(theirs,),
    )
    async with asyncio.timeout(30):
        output, errors = await child.communicate()
    os.close(theirs)
    os.close(ours)
    assert (output.decode(), errors.decode(), child.returncode) == (shown, "", 0)
