"""The control socket: how `rosey status` and its like speak with a running daemon.

A unix socket in the state directory, mode 0600, so that the file system says who may. One JSON line asks, one
answers: `{"verb": "status"}`, then `{"ok": true, "result": ...}` or `{"ok": false, "error": {"code", "message"}}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.errors import ConfigError, NoAnswer, RoseyError, Unavailable
from rosey_core.log import redact

SOCKET = "control.sock"
LOCK = "lock"
LONGEST = 100
SECONDS = 5.0

Verb = Callable[[dict[str, Any]], Awaitable[Any]]


def socket_path(state: Path) -> Path:
    """Where the socket of a state directory is.

    Raises:
        ConfigError: when the path is longer than an operating system takes for a socket.
    """
    path = state / SOCKET
    if len(os.fsencode(path)) > LONGEST:
        raise ConfigError(f"{path} is too long for a socket (over {LONGEST} bytes); set a shorter state_directory")
    return path


class Control:
    """The daemon's end.

    Args:
        state: the state directory.
        verbs: what can be asked: name to a function of the request's fields.
        log: for what goes wrong.
    """

    def __init__(self, state: Path, verbs: Mapping[str, Verb], log: FilteringBoundLogger) -> None:
        self._path = socket_path(state)
        self._verbs = verbs
        self._log = log
        self._server: asyncio.Server | None = None
        self._lock: IO[str] | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            RoseyError: when another daemon has this state directory, or its files there are somebody else's.
        """
        lock = self._path.with_name(LOCK)
        try:
            self._lock = self._locked(lock)
        except OSError as error:
            raise RoseyError(f"{lock} can't be used: {error.strerror}") from error
        try:
            self._path.unlink(missing_ok=True)
            listener = self._listener()
        except OSError as error:
            raise RoseyError(f"{self._path} can't be used: {error.strerror}") from error
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    def _listener(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        # The mode is set before anybody can connect.
        before = os.umask(0o177)
        try:
            listener.bind(str(self._path))
        finally:
            os.umask(before)
        return listener

    def _locked(self, path: Path) -> IO[str]:
        """The lock file, locked for this process as long as it is open. It holds the process's number.

        A lock and no look at the socket: that may be left by a kill, or belong to one who is too busy to answer.
        """
        file = path.open("a+", encoding="ascii")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.close()
            raise RoseyError(
                f"another rosey (process {_holder(self._path)}) runs with the state directory "
                f"{self._path.parent}. Stop it, or give this one another state_directory."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        return file

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                line = await reader.readline()
            # What a plugin raised may hold a secret, and stands in its status.
            writer.write(f"{redact(await self._answer(line))}\n".encode())
            await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> str:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            verb = self._verbs[str(request.pop("verb"))]
        except (msgspec.MsgspecError, KeyError):
            return _failed("bad_request", "no such verb")
        try:
            return _encode({"ok": True, "result": await verb(request)})
        except RoseyError as error:
            return _failed("refused", str(error))
        except Exception as error:
            self._log.exception("control.failed")
            return _failed("bug", f"{type(error).__name__}; the log says more")

    async def stop(self) -> None:
        """Stop listening and remove the socket. The state directory stays this daemon's until `release`."""
        if self._server is not None:
            self._server.close()
            self._server = None
            with contextlib.suppress(OSError):  # a disk that went read-only keeps it; it is in nobody's way
                self._path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let another daemon have the state directory."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _holder(path: Path) -> str:
    """The number of the process that has the state directory of this socket."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.with_name(LOCK).read_text("ascii").strip() or "unknown"
    return "unknown"


def _encode(answer: dict[str, Any]) -> str:
    """JSON, also where half a character is in it, as in what a plugin raised or in a file's name."""
    try:
        return msgspec.json.encode(answer).decode()
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(answer), ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()


def _failed(code: str, message: str) -> str:
    return _encode({"ok": False, "error": {"code": code, "message": message}})


async def ask(path: Path, verb: str, *, seconds: float = SECONDS, limit: int = 1 << 24, **fields: Any) -> Any:
    """Ask a running daemon.

    Raises:
        NoAnswer: when one listens and does not answer in time.
        Unavailable: when none listens, or this user may not ask it.
        RoseyError: when it refuses.
    """
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=limit)
            try:
                writer.write(msgspec.json.encode({"verb": verb, **fields}) + b"\n")
                answer = msgspec.json.decode(await reader.readline(), type=dict[str, Any])
            finally:
                writer.close()
    except (TimeoutError, msgspec.MsgspecError) as error:
        raise NoAnswer(
            f"rosey (process {_holder(path)}) does not answer at {path}: it is busy or stopped. "
            f"Ask again; if it stays so, its log says more, and a restart helps."
        ) from error
    except PermissionError as error:
        raise Unavailable(
            f"this user may not ask rosey ({path}: {error.strerror}). Ask as the one that runs it."
        ) from error
    except OSError as error:
        raise Unavailable(
            f"rosey is not running (nobody listens at {path}). Start it with `rosey run`, or name its file with "
            f"--config."
        ) from error
    if not answer["ok"]:
        raise RoseyError(answer["error"]["message"])
    return answer["result"]
