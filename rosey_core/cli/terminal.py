"""A terminal that shows lines while somebody types one: what is typed stays whole, below what is shown.

Owns standard output and input, and nothing of what the lines mean. On a terminal prompt_toolkit edits the line;
elsewhere lines are printed and read as they come. What is closed is neither read nor written.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from functools import partial
from io import TextIOWrapper

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.output.vt100 import Vt100_Output

from rosey_core.redact import visible

_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


class Terminal:
    """Shows and reads lines.

    Args:
        lost: is told why nothing can be shown any more.

    Attributes:
        prompt: what stands before the line that is typed.
    """

    def __init__(self, lost: Callable[[OSError], None]) -> None:
        self.prompt = "> "
        self._lost = lost
        for stream in (sys.stdin, sys.stdout):
            if isinstance(stream, TextIOWrapper):  # else it is closed
                stream.reconfigure(errors="replace")
        shown = sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._colours = shown and not os.environ.get("NO_COLOR")
        self._session = self._editor() if shown and sys.stdin is not None and sys.stdin.isatty() else None

    def _editor(self) -> PromptSession[str]:
        output = Vt100_Output.from_pty(sys.stdout, term=os.environ["TERM"])
        output.enable_cpr = False  # a terminal that answers late would answer to the shell
        # What is typed goes when it is said: the room says it again.
        return PromptSession(lambda: self.prompt, output=output, erase_when_done=True, enable_suspend=True)

    def show(self, text: str, *, who: str = "", dim: bool = False) -> None:
        """Show a line; `who` said it, or it is a remark (`dim`). Control characters are spelt out."""
        text, who = visible(text), visible(who)
        if self._colours:
            who = f"{_BOLD}{who}{_PLAIN}" if who else ""
            text = f"{_DIM}{text}{_PLAIN}" if dim else text
        line = f"{who}: {text}" if who else text
        if self._session is not None and self._session.app.is_running:
            run_in_terminal(partial(self._write, line))
        else:
            self._write(line)

    def _write(self, line: str) -> None:
        try:
            click.echo(line, color=self._colours)
        except OSError as error:
            self._lost(error)

    def lines(self) -> AsyncGenerator[str]:
        """What is typed, line by line, until its end (Ctrl-D; a pipe's end). When it is closed, the prompt goes."""
        return self._typed(self._session) if self._session is not None else _piped()

    async def _typed(self, session: PromptSession[str]) -> AsyncGenerator[str]:
        queue = asyncio.Queue[str | None]()
        # Beside the one who takes the lines: what is typed while they work on one is edited too.
        typing = asyncio.create_task(self._type(session, queue), name="rosey-terminal")
        try:
            while (line := await queue.get()) is not None:
                yield line
        finally:
            typing.cancel()
            await asyncio.gather(typing, return_exceptions=True)

    async def _type(self, session: PromptSession[str], queue: asyncio.Queue[str | None]) -> None:
        while True:
            try:
                text = await session.prompt_async(handle_sigint=False)
            except KeyboardInterrupt:
                signal.raise_signal(signal.SIGINT)  # what Ctrl-C is everywhere else
                continue
            except (EOFError, OSError):  # Ctrl-D, or the terminal is gone
                queue.put_nowait(None)
                return
            for line in text.splitlines():  # several, if they are pasted
                queue.put_nowait(line.encode(errors="surrogateescape").decode(errors="replace"))


async def _piped() -> AsyncGenerator[str]:
    loop = asyncio.get_running_loop()
    queue = asyncio.Queue[str | None]()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants it any more
            with contextlib.suppress(OSError):  # what can't be read has ended
                for line in sys.stdin or ():
                    loop.call_soon_threadsafe(queue.put_nowait, line.rstrip("\n"))
            loop.call_soon_threadsafe(queue.put_nowait, None)

    # A daemon thread: a read that waits for a person can't be ended any other way.
    threading.Thread(target=read, name="rosey-terminal", daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line
