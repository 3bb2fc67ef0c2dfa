"""The real daemon as a child process: `rosey run` in a directory of its own, with its log in a file.

The test kit boots, asks, kills and counts with it; the sandbox shows it. It owns the child and nothing of what the
child does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Self, TextIO

from rosey_core.control import ask, socket_path
from rosey_core.errors import RoseyError, Unavailable

PATIENCE = 30.0
"""Seconds that a start may take on a busy machine."""


class RoseyProcess:
    """A daemon of its own.

    Args:
        directory: where its `rosey.toml` stands. Its state goes below, and its log to `rosey.log`.
        config: the text of `rosey.toml`, if it is to be written.
        environ: variables beside this process's own; of those, the `ROSEY_` ones would set what `config` should.
        arguments: more arguments of the verb, such as `--set log.level=debug`.
        verb: what it runs.
    """

    def __init__(
        self,
        directory: Path,
        config: str = "",
        *,
        environ: dict[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        verb: str = "run",
    ) -> None:
        self.directory = directory
        self.log = directory / "rosey.log"
        self.state = directory / "rosey-state"
        own = {name: value for name, value in os.environ.items() if not name.startswith("ROSEY_")}
        self._environ = own | (environ or {})
        self._arguments = (verb, *arguments)
        self._child: asyncio.subprocess.Process | None = None
        self._told: asyncio.Queue[str] = asyncio.Queue()
        self._transport: asyncio.BaseTransport | None = None
        if config:
            (directory / "rosey.toml").write_text(config, encoding="utf-8")

    @property
    def pid(self) -> int:
        """The child's process id."""
        assert self._child is not None, "it was not started"
        return self._child.pid

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:  # it may run, and nobody else would end it
            await self.stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it says that it is ready.

        Raises:
            RoseyError: when it ends before; the text has its last lines.
        """
        address = self.directory / "notify.sock"
        self._hush()
        address.unlink(missing_ok=True)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Told(self._told), local_addr=str(address), family=socket.AF_UNIX
        )
        self._transport = transport
        with self.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rosey_core", *self._arguments),
                cwd=self.directory,
                env=self._environ | {"NOTIFY_SOCKET": str(address)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C and a closed terminal are for who started it, and ends it
            )
        if wait:
            await self.ready()

    async def ready(self) -> None:
        """Wait until it says that it is ready. Raises RoseyError when it ends before."""
        assert self._child is not None, "it was not started"
        told = asyncio.create_task(self.told("READY=1"))
        ended = asyncio.create_task(self._child.wait())
        try:
            done, _ = await asyncio.wait((told, ended), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            ended.cancel()
        if told not in done:
            self._hush()
            how = f"ended with code {ended.result()}" if ended in done else f"was not ready within {PATIENCE:g} s"
            raise RoseyError(f"rosey {how}:\n{self.tail()}")

    def _hush(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def told(self, start: str) -> str:
        """Wait until it tells systemd a line that starts so; what it tells before is forgotten."""
        while True:
            for line in (await self._told.get()).splitlines():
                if line.startswith(start):
                    return line

    def forget(self) -> None:
        """Forget what it told systemd by now."""
        while not self._told.empty():
            self._told.get_nowait()

    async def ended(self) -> int:
        """Wait until it ends; its exit code, negative for a signal."""
        assert self._child is not None, "it was not started"
        return await self._child.wait()

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._child is not None and self._child.returncode is None

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def stop(self, seconds: float = 10.0) -> int:
        """End it with SIGTERM, and with SIGKILL if it is not gone in time; its exit code."""
        if self._child is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                return await self._child.wait()
        except TimeoutError:
            self._child.kill()
            return await self._child.wait()
        finally:
            self._hush()

    async def ask(self, verb: str = "status") -> Any:
        """Ask it through its control socket."""
        return await ask(socket_path(self.state), verb)

    async def until(self, what: str, holds: Any, seconds: float = PATIENCE) -> dict[str, Any]:
        """Ask for the status until `holds(status)`; the status. Raises AssertionError that says `what` failed."""
        status: dict[str, Any] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    with contextlib.suppress(Unavailable):
                        status = await self.ask()
                        if status["ready"] and holds(status):
                            return status
                    await asyncio.sleep(0.05)
        raise AssertionError(f"not within {seconds:g} s: {what}\nlast status: {status}\n{self.tail()}")

    def read_log(self) -> TextIO:
        """Its log, opened for reading behind what is there by now."""
        log = self.log.open(encoding="utf-8", errors="replace")
        log.seek(0, os.SEEK_END)
        return log

    async def started(self) -> None:
        """Wait until every plugin was started, or can't be."""
        await self.until(
            "every plugin was started", lambda status: all(row["state"] != "starting" for row in status["plugins"])
        )

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run another `rosey` beside it, with nothing typed: its exit code, and all that it printed."""
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rosey_core", *arguments),
            cwd=self.directory,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await child.communicate()
        return child.returncode or 0, output.decode()

    def tail(self, lines: int = 30) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is no dead one that nobody asked for yet. On Linux."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


class _Told(asyncio.DatagramProtocol):
    """Where systemd would listen."""

    def __init__(self, queue: asyncio.Queue[str]) -> None:
        self._queue = queue

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  asyncio's interface
        self._queue.put_nowait(data.decode())
