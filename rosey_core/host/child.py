"""A worker's process: started with its orders, heard, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

TAIL = 20
"""Lines of its output that are kept."""
LONGEST_LINE = 1 << 16
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_OURS = {"timestamp", "level", "logger", "event"}


class Child:
    """One process. Make it with `spawn`.

    Attributes:
        ended: set when it is over.
        tail: the last lines that it printed.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, log: FilteringBoundLogger, ended: Callable[[], None]
    ) -> None:
        self.ended = asyncio.Event()
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._process = process
        self._log = log
        self._told = ended
        self._task = asyncio.get_running_loop().create_task(self._hear(), name=f"output of {process.pid}")

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def reason(self) -> str:
        """How it ended, and what it said last."""
        code = self._process.returncode
        how = f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        said = next((line for line in reversed(self.tail) if line.strip()), "")
        return f"its process ended ({how})" + (f": {said}" if said else "")

    async def _hear(self) -> None:
        """Pass on what it prints, line by line, until it ends."""
        stream = self._process.stdout
        assert stream is not None  # noqa: S101  it was started with a pipe
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                try:
                    line = await stream.readuntil(b"\n")
                except asyncio.IncompleteReadError as end:
                    self._say(end.partial)
                    break
                except asyncio.LimitOverrunError as much:
                    line = await stream.read(much.consumed or LONGEST_LINE)
                self._say(line)
        await self._process.wait()
        self.ended.set()
        self._told()

    def _say(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if not text:
            return
        fields = _fields(text)
        if fields is None:
            self.tail.append(text)
            self._log.warning("plugin.said", text=text)
            return
        level = _LEVELS.get(str(fields.get("level")), 30)
        event = str(fields.get("event"))
        own = {key: value for key, value in fields.items() if key not in _OURS and key.isidentifier()}
        self.tail.append(" ".join([event, *(f"{key}={value}" for key, value in own.items())]))
        self._log.log(level, event, **own)

    async def end(self, seconds: float) -> None:
        """End it: by SIGTERM, and by SIGKILL when it is not gone in time."""
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, None)):
            if self.ended.is_set():
                return
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self.ended.wait()


def _fields(text: str) -> dict[str, Any] | None:
    """The fields of a line of our own log; None for what is none."""
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and "event" in fields else None


async def spawn(
    command: tuple[str, ...],
    orders: msgspec.Struct,
    *,
    environ: Mapping[str, str],
    directory: Path | None = None,
    log: FilteringBoundLogger,
    ended: Callable[[], None],
) -> Child:
    """Start a worker. To be called in the main thread: on Linux it is killed when the thread that started it ends.

    Args:
        command: the program; the number of an open file with its orders comes behind it.
        orders: as JSON in that file, so that nothing of them is on a command line or in the environment.
        environ: its variables.
        directory: where it runs, if not where we do.
        log: takes what it prints.
        ended: is called once, when it is over.

    Raises:
        OSError: it can't be started.
    """
    with tempfile.TemporaryFile() as file:
        file.write(msgspec.json.encode(orders))
        file.flush()
        file.seek(0)
        process = await asyncio.create_subprocess_exec(
            *command,
            str(file.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(file.fileno(),),
            cwd=directory,
            env=dict(environ),
            limit=LONGEST_LINE,
            start_new_session=True,  # so that Ctrl-C ends the daemon first, and it its plugins
        )
    return Child(process, log, ended)
