"""The embedded nats-server: a child process that starts, starts again when it dies, and goes with the daemon.

Its files are in one directory that is its owner's only: `nats.conf` (it holds the passwords, so nothing of them is
on a command line), `nats-server.log`, and the file in which it tells its port. Nothing it holds outlives it but the
stream, if the owner wants one: that is in `jetstream` there.

On Linux the kernel ends it when the daemon dies, also by `kill -9`. Elsewhere a killed daemon leaves it behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.bus.access import BrokerUser
from rosey_core.bus.conf import conf
from rosey_core.bus.finding import find_server
from rosey_core.bus.violations import Violations
from rosey_core.config import NatsConfig
from rosey_core.errors import BrokerError

LOG_FILE = "nats-server.log"
BACK_OFF = (0.1, 10.0)
"""Seconds before it is started again, the first time and at most."""
STEADY = 10.0
"""One that lived so many seconds was a good one: the next start comes soon."""
PATIENCE = 5.0
"""Seconds that somebody who needs it waits, and that it gets to end by itself."""
TRIES = 5
"""Failed starts after which a port that we chose is given up for another: a stranger may have it now."""
STARTING, RUNNING = 0.005, 0.2
"""Seconds between looks."""

# Asks the kernel for SIGKILL when the thread that started it ends, then becomes nats-server. Not in a `preexec_fn`:
# Python code between fork and exec may hang where there are threads.
_LEASH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class _Ports(msgspec.Struct):
    """What nats-server writes when it listens."""

    nats: list[str]


class Broker:
    """A nats-server of our own.

    Args:
        config: `[nats]`: where to listen, and which program.
        directory: for its files; made if missing.
        users: who may connect.
        log: for its starts and deaths.

    Attributes:
        url: where clients find it; the same over its restarts, and empty until it listened once.
        starts: how often it was started.
        refused: is told of what it refused: to which user, and what.
    """

    def __init__(
        self, config: NatsConfig, directory: Path, users: tuple[BrokerUser, ...], log: FilteringBoundLogger
    ) -> None:
        host, _, port = config.listen.rpartition(":")
        self.url = ""
        self.starts = 0
        self.refused: Callable[[str, str], None] = lambda *_: None
        self._server = config.server
        self._host = host.strip("[]")
        self._fixed = int(port)
        self._port = self._fixed
        self._directory = directory
        self._users = users
        self._stream = config.stream.name if config.stream is not None else ""
        self._log = log
        self._log_file = directory / LOG_FILE
        self._violations = Violations(self._log_file)
        self._program: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._listens = asyncio.Event()
        self._quiet_until = 0
        self._fault = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Its process, 0 while there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def spawn(self) -> None:
        """Start it and keep it running; returns at once. To be called from the main thread, in the event loop.

        Raises:
            BrokerError: when there is no nats-server, or it can't be started at all.
        """
        self._program = find_server(self._server)
        try:
            self._start()
        except OSError as error:
            raise BrokerError(f"nats-server can't be started in {self._directory}: {error}") from error
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="broker")

    def change(self, users: tuple[BrokerUser, ...]) -> None:
        """Let others connect from now on. Who stays notices nothing; who goes is cut off.

        Raises:
            OSError: its configuration can't be written; nothing changed then.
        """
        before, self._users = self._users, users
        try:
            self._write()
        except OSError:
            self._users = before
            raise
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGHUP)

    async def ready(self) -> str:
        """Wait until it listens; its URL.

        Raises:
            BrokerError: when it does not within some seconds, with its own last words.
        """
        if not self.pid:
            self._listens.clear()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._listens.wait()
        except TimeoutError:
            said = f"; it ended and said: {self._fault}" if self._fault else ""
            raise BrokerError(f"nats-server does not run{said} (see {self._log_file})") from None
        return self.url

    async def stop(self) -> None:
        """End it. Takes some seconds if it is frozen, and a few milliseconds else."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        if self._process is None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(PATIENCE / 5):
                await _ended(self._process)
        except TimeoutError:
            self._process.kill()
            await _ended(self._process)
        self._tidy()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        delay, longest = BACK_OFF
        failures = 0
        while True:
            began = loop.time()
            if self._process is not None:
                await self._life(self._process)
            # What began to listen was no failed start, however soon it died.
            failures = 0 if self._listens.is_set() else failures + 1
            self._listens.clear()
            if loop.time() - began >= STEADY:
                delay = BACK_OFF[0]
            if failures >= TRIES:
                self._port = self._fixed
            self._log.warning("nats.died", reason=self._fault, again_in=delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, longest)
            try:
                self._start()
            except OSError as error:
                self._fault = str(error)

    async def _life(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the process has ended; meanwhile notice when it listens."""
        while process.poll() is None:
            if not self._listens.is_set() and self._found(process.pid):
                self._listens.set()
                self._log.info("nats.listens", url=self.url, pid=process.pid)
            await asyncio.sleep(RUNNING if self._listens.is_set() else STARTING)
            for user, what in self._violations.look():
                self.refused(user, what)
        self._fault = self._last_words(process.returncode)

    def _start(self) -> None:
        self._process = None
        directory = self._directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        self._tidy()
        path = self._write()
        command = [str(self._program), "-c", str(path)]
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *command]
        self.starts += 1
        with self._log_file.open("ab") as log_file:
            self._quiet_until = log_file.tell()
            # Its standard error is that file too: a pipe that nobody reads would stall it, and a closed one kill it.
            self._process = subprocess.Popen(  # noqa: S603  the owner's program, and no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,  # so that Ctrl-C ends the daemon first, and not both at once
            )

    def _write(self) -> Path:
        """Write its configuration: whole or not at all, and never readable by others."""
        path, new = self._directory / "nats.conf", self._directory / "nats.conf.new"
        new.unlink(missing_ok=True)
        text = conf(
            self._users,
            host=self._host,
            port=self._port or -1,
            log_file=self._log_file,
            directory=self._directory,
            stream=self._stream,
        )
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return new.replace(path)

    def _found(self, pid: int) -> bool:
        """Read the port it tells. The file's name holds the process, so an old one is never mistaken for it."""
        try:
            ports = msgspec.json.decode((self._directory / f"nats-server_{pid}.ports").read_bytes(), type=_Ports)
        except (OSError, msgspec.MsgspecError):  # not there yet, or half written
            return False
        self._port = int(ports.nats[0].rpartition(":")[2])
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104  the opposite of binding
        self.url = f"nats://[{host}]:{self._port}" if ":" in host else f"nats://{host}:{self._port}"
        return True

    def _last_words(self, code: int) -> str:
        """Why it ended, as far as it said so."""
        if code < 0:
            return f"killed by signal {-code}"
        with contextlib.suppress(OSError), self._log_file.open("rb") as file:
            file.seek(self._quiet_until)
            if lines := file.read(4096).decode("utf-8", "replace").split("\n")[:-1]:
                said = lines[-1].rpartition("[FTL] ")[2]
                taken = self._fixed and "address already in use" in said
                return f"{said}; stop what has that port, or set another [nats] listen" if taken else said
        return f"exit code {code}"

    def _tidy(self) -> None:
        with contextlib.suppress(OSError):
            for path in self._directory.glob("nats-server_*.ports"):
                path.unlink()


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for its end. Not in a thread: plugins may have taken them all."""
    while process.poll() is None:  # noqa: ASYNC110  nothing tells of it without a thread
        await asyncio.sleep(STARTING)
