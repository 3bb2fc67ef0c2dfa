"""A program on a terminal of its own: what a person sees there, and keys for it."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pyte

ROWS = 24


class Screen:
    """What stands on the terminal.

    Attributes:
        child: the program.
    """

    def __init__(self, ours: int, child: asyncio.subprocess.Process, columns: int) -> None:
        self.child = child
        self._ours = ours
        self._screen = pyte.HistoryScreen(columns, ROWS, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(ours, self._read)

    @property
    def lines(self) -> list[str]:
        """All rows with something on them, also those that were scrolled away, oldest first."""
        gone = (
            "".join(row[column].data for column in range(self._screen.columns)) for row in self._screen.history.top
        )
        return [line.rstrip() for line in (*gone, *self._screen.display) if line.strip()]

    @property
    def below(self) -> str:
        """The row that the cursor is in."""
        return str(self._screen.display[self._screen.cursor.y]).rstrip()

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def close(self) -> None:
        """Take the terminal away."""
        if self._ours >= 0:
            asyncio.get_running_loop().remove_reader(self._ours)
            os.close(self._ours)
            self._ours = -1

    async def until(self, test: Callable[[], bool]) -> None:
        """Wait until something stands there."""
        try:
            async with asyncio.timeout(30):
                while not test():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError("it did not come; there is:\n" + "\n".join(self.lines)) from None

    async def shows(self, line: str) -> None:
        """Wait until a row is this."""
        await self.until(lambda: line in self.lines)

    async def ended(self) -> int:
        """Wait for the end of the program; its exit code. Then everything it wrote stands there."""
        async with asyncio.timeout(30):
            return await self.child.wait()

    def _read(self) -> None:
        try:
            self._stream.feed(os.read(self._ours, 65536))
        except OSError:  # the other end is closed
            asyncio.get_running_loop().remove_reader(self._ours)
        self._news.set()


@asynccontextmanager
async def on_terminal(
    *command: str, columns: int = 80, environ: dict[str, str] | None = None, pass_fds: Sequence[int] = ()
) -> AsyncIterator[Screen]:
    """Run a program on a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (ROWS, columns))
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm"} | (environ or {}),
        pass_fds=pass_fds,
        start_new_session=True,
    )
    os.close(theirs)
    screen = Screen(ours, child, columns)
    try:
        yield screen
    finally:
        screen.close()
        if child.returncode is None:
            child.terminate()  # so that it ends what it started
            async with asyncio.timeout(30):
                await child.wait()
