"""Opens the file: is it ours, is it whole, who else writes it. Blocking; the plugin calls it in a thread.

A file that is not known to be whole is opened for reading only, so that a damaged one stays as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import socket
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import msgspec

from rosey_core.api import NotReady, PluginError
from rosey_plugins.database.schema import ForeignError, applied, migrate

FILE = "database.db"
LOCK = "database.lock"
HEADER = b"SQLite format 3\0"
PRIVATE = 0o600
SMALL = 64 << 20
"""Bytes up to which a file is checked at every start; a bigger one when its last end was no clean one."""
STALE = 60.0
"""Seconds without a sign of life after which a writer is gone."""
BUSY_MS = 2000
"""How long a writer waits for another: with one before it that is still less than a hook may take."""

WRITING = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # what is handled survives a power cut; commits are grouped for that
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16000",
    "PRAGMA journal_size_limit = 67108864",
    f"PRAGMA busy_timeout = {BUSY_MS}",
)
READING = ("PRAGMA query_only = ON", "PRAGMA temp_store = MEMORY", f"PRAGMA busy_timeout = {BUSY_MS}")


class Other(msgspec.Struct, frozen=True):
    """Somebody else who has the file open for writing."""

    instance: str
    pid: int
    host: str


def uri(path: Path, mode: str) -> str:
    """A file for `sqlite3.connect(..., uri=True)`; mode is `ro`, `rw` or `rwc`."""
    return f"{path.absolute().as_uri()}?mode={mode}"


def reading(path: Path) -> AbstractContextManager[sqlite3.Connection]:
    """A connection that writes nothing."""
    return _connected(uri(path, "ro"), READING)


def writing(path: Path) -> AbstractContextManager[sqlite3.Connection]:
    """A connection that may write; the file is made if there is none."""
    return _connected(uri(path, "rwc"), WRITING)


@contextlib.contextmanager
def _connected(where: str, pragmas: Iterable[str]) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(where, uri=True, isolation_level=None)) as connection:
        for pragma in pragmas:
            connection.execute(pragma)
        yield connection


def hold(directory: Path, *, alone: bool = False) -> IO[bytes] | None:
    """Hold the lock that says the file is in use, or is `alone` somebody's; `None` if it can't be had now."""
    file = (directory / LOCK).open("ab")
    give(directory / LOCK)
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def give(path: Path) -> None:
    """Give a file that root made to the owner of its directory: the bot, which may be somebody else, writes it."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def keep_private(path: Path) -> None:
    """Let the owner read and write the files, and nobody else: what people wrote is not for all on this machine.

    All three: SQLite makes those beside a file with its mode, so one that was read-only for a while leaves two more.
    """
    for part in parts(path):
        if part.exists() and stat.S_IMODE(part.stat().st_mode) != PRIVATE:
            part.chmod(PRIVATE)


def parts(path: Path) -> tuple[Path, ...]:
    """The file and those that SQLite has beside it, whether they are there or not."""
    return (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))


def examine(path: Path) -> bool:
    """Look at a file; whether it has to be checked as a whole before it may be written.

    Raises:
        PluginError: it can't be used; the text says why, and what to do.
        NotReady: it can't be read now.
    """
    try:
        length = size(path)
        with path.open("rb") as file:
            header = file.read(len(HEADER))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise NotReady(f"{path} can't be read: {error.strerror}", retry=5) from error
    if not length:
        return False
    if header != HEADER:
        raise damaged(path, "it does not begin as a database does")
    with translated(path), reading(path) as connection:
        try:
            done = applied(connection)
        except ForeignError as error:
            raise ForeignError(f"{path} {error.why}", error.do) from None
        left = connection.execute("SELECT count(*) FROM writers").fetchone()[0] if done else 1
    return bool(left) or length <= SMALL


def check(path: Path, stop: Callable[[], bool] = lambda: False, *, whole: bool = False) -> list[str]:
    """What is wrong in a file, at most ten sentences of SQLite's; empty if nothing is.

    Args:
        path: the file.
        stop: is asked again and again; once it says so, this ends with `InterruptedError`.
        whole: compare the indexes with their tables too, which takes longer.
    """
    try:
        with reading(path) as connection:
            connection.set_progress_handler(lambda: int(stop()), 100_000)
            rows = connection.execute(f"PRAGMA {'integrity_check' if whole else 'quick_check'}(10)").fetchall()
    except sqlite3.DatabaseError as error:
        if stop():
            raise InterruptedError from None
        if busy(error):
            raise
        return [str(error)]
    return [" ".join(text.split()) for (text,) in rows if text != "ok"]


def size(path: Path) -> int:
    """The file's bytes."""
    return path.stat().st_size


def empty(path: Path) -> bool:
    """Whether a file is there that has no bytes."""
    return path.is_file() and not size(path)


def sound(path: Path) -> None:
    """Look at a file, and at all of it where it has to be. Raises as `examine`."""
    if examine(path) and (wrong := check(path)):
        raise damaged(path, wrong[0])


def prepare(path: Path, instance: str, now: float) -> list[Other]:
    """Bring the tables to the newest shape and enter this writer; those who write the file too.

    Raises:
        PluginError, NotReady: as `examine`.
    """
    with translated(path):
        keep_private(path)
    with translated(path), writing(path) as connection:
        try:
            migrate(connection, now)
        except ForeignError as error:
            raise ForeignError(f"{path} {error.why}", error.do) from None
        give(path)
        keep_private(path)
        return enter(connection, instance, now)


def enter(connection: sqlite3.Connection, instance: str, now: float) -> list[Other]:
    """Enter a writer; those who write the file too, and are alive."""
    connection.execute("BEGIN IMMEDIATE")
    others = []
    for name, pid, host, beat in connection.execute("SELECT instance, pid, host, beat_at FROM writers").fetchall():
        if name == instance or now - beat > STALE or (host == socket.gethostname() and not lives(pid)):
            connection.execute("DELETE FROM writers WHERE instance = ?", (name,))
        else:
            others.append(Other(name, pid, host))
    entry = (instance, os.getpid(), socket.gethostname(), now, now)
    connection.execute("INSERT INTO writers VALUES (?, ?, ?, ?, ?)", entry)
    connection.execute("COMMIT")
    return others


def lives(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def busy(error: sqlite3.Error) -> bool:
    """Whether it will pass: another writer, a full disk, a file that can't be opened just now."""
    return isinstance(error, sqlite3.OperationalError)


class DamagedError(PluginError):
    """A file is not whole, and `why`."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text)
        self.why = why


def damaged(path: Path, why: str) -> DamagedError:
    """The error for the bot's own file."""
    return DamagedError(
        f"{path} is damaged ({why}), and stays as it is: `rosey db check` says more, `rosey db restore FILE` goes "
        f"back to a backup. Move it away to begin a new one.",
        why,
    )


def unwritable(path: Path) -> str:
    """Which of the files this user may not write, and what to do, in a sentence; empty if none."""
    for part in (path.parent, *parts(path)):
        if part.exists() and not os.access(part, os.W_OK):
            there, me = part.stat(), os.geteuid()
            mode = f"mode {stat.S_IMODE(there.st_mode):04o}"
            if there.st_uid == me:
                return f"{part} may not be written, it has {mode}: chmod u+rw {part}"
            return f"{part} is {_user(there.st_uid)}'s with {mode}, and has to be {_user(me)}'s: chown it"
    return ""


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


@contextlib.contextmanager
def output(path: Path) -> Iterator[None]:
    """Name a file that is made, where it can't be. Raises `PluginError`."""
    try:
        yield
    except OSError as error:
        raise PluginError(f"{path} can't be written: {error.strerror}") from error
    except sqlite3.Error as error:
        raise PluginError(f"{path} can't be written: {error}") from error


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into what the host understands."""
    try:
        yield
    except sqlite3.Error as error:
        if busy(error):
            raise NotReady(unwritable(path) or f"{path}: {error}", retry=5) from error
        raise damaged(path, str(error)) from error
    except OSError as error:
        raise NotReady(unwritable(path) or f"{path}: {error.strerror}", retry=5) from error
