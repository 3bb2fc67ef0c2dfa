"""A terminal that shows lines while somebody types one: what is typed stays whole, below what is shown.

Owns standard output and input, and nothing of what the lines mean. Where they are no terminal, lines are printed and
read as they come.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator

from rosey_core.redact import visible

_CLEAR_LINE = "\r\x1b[K"
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


class Terminal:
    """Shows and reads lines.

    Attributes:
        prompt: what stands before the line that is typed.
    """

    def __init__(self) -> None:
        self.prompt = "> "
        self._typed = sys.stdin.isatty() and sys.stdout.isatty()
        self._colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()
        self._reading = False

    def show(self, text: str, *, who: str = "", dim: bool = False) -> None:
        """Show a line; `who` said it, or it is a remark (`dim`). Control characters are spelt out."""
        text, who = visible(text), visible(who)
        if self._colours:
            who = f"{_BOLD}{who}{_PLAIN}" if who else ""
            text = f"{_DIM}{text}{_PLAIN}" if dim else text
        line = f"{who}: {text}" if who else text
        with self._lock:
            if self._reading:
                import readline

                sys.stdout.write(f"{_CLEAR_LINE}{line}\n{self.prompt}{readline.get_line_buffer()}")
            else:
                sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    async def lines(self) -> AsyncIterator[str]:
        """What is typed, line by line, until its end (Ctrl-D; a pipe's end)."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        # A daemon thread: a read that waits for a person can't be ended any other way.
        threading.Thread(target=self._read, args=(loop, queue), name="rosey-terminal", daemon=True).start()
        while (line := await queue.get()) is not None:
            yield line

    def _read(self, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[str | None]) -> None:
        line: str | None = ""
        while line is not None:
            line = self._read_typed() if self._typed else (sys.stdin.readline() or None)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants it any more
                loop.call_soon_threadsafe(queue.put_nowait, line and line.rstrip("\n"))

    def _read_typed(self) -> str | None:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  `input` edits with it where it is there

            self._reading = True
        try:
            return input(self.prompt) + "\n"
        except EOFError:
            return None
        finally:
            self._reading = False
