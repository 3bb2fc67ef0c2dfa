"""Checks, copies and shrinks the file, for `rosey db`. Blocking; the bot may run meanwhile, except for `restore`."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from rosey_core.api import PluginError
from rosey_plugins.database import opening
from rosey_plugins.database.schema import TABLES, ForeignError, applied

STEP = 500
"""Pages that are copied between two looks at how far it is."""
COUNTED = ("users", "chat", "pms", "media", "sessions", "counts", "high_water", "status")

_OF_WRITING = frozenset(
    (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
    )
)
"""What goes wrong with the copy and not with what is copied, which is only read."""

Progress = Callable[[int, int], None]
"""Is told how much is done, and of how much."""


class Report(msgspec.Struct, frozen=True):
    """What a file is like: what is wrong in it, and how many rows each table has."""

    wrong: list[str]
    shape: int = 0
    rows: dict[str, int] = {}


def nothing(_done: int, _all: int) -> None:
    """Progress that nobody looks at."""


def report(path: Path) -> Report:
    """Look at a file as a whole. Raises `PluginError` if it is not there or not ours."""
    if not path.exists():
        raise PluginError(f"{path} is not there: the plugin makes it at its first start. --file names another place.")
    try:
        opening.examine(path)
    except opening.DamagedError as error:
        return Report([error.why])
    wrong = opening.check(path, whole=True)
    if wrong:
        return Report(wrong)
    with opening.translated(path), opening.reading(path) as connection:
        shape = applied(connection)
        missing = set(TABLES) - {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if missing:
            return Report([f"the table {name} is missing" for name in sorted(missing)], shape)
        rows = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in COUNTED}
    return Report([], shape, rows)


def backup(path: Path, to: Path, progress: Progress = nothing) -> Report:
    """Copy the file as it is at this moment, and check the copy.

    Raises:
        PluginError: there is nothing to copy, something is at `to` already, or the copy is not whole.
    """
    if not path.exists():
        raise PluginError(f"{path} is not there: there is nothing to back up")
    if to.exists():
        raise PluginError(f"{to} is there already, and stays as it is: name another file, or remove it")
    opening.examine(path)
    made = to.with_name(f".{to.name}.new")
    try:
        _copy(path, made, to, progress)
        checked = report(made)
        if checked.wrong:
            raise PluginError(f"the copy of {path} is not whole ({checked.wrong[0]}), and was removed")
        with opening.output(to):
            made.replace(to)
    finally:
        _remove(made)
    return checked


def restore(path: Path, source: Path, now: float, progress: Progress = nothing) -> Path | None:
    """Put a backup in the file's place; the old file is kept, and where.

    Raises:
        PluginError: the backup is not whole, or somebody has the database open.
    """
    if not source.is_file():
        raise PluginError(f"{source} is not there; nothing was changed")
    try:
        checked = report(source)
    except ForeignError as error:
        raise PluginError(f"{error.why}; nothing was changed") from None
    if checked.wrong:
        raise PluginError(f"{source} is not whole ({checked.wrong[0]}); nothing was changed")
    with opening.output(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = opening.hold(path.parent, alone=True)
    if lock is None:
        raise PluginError(
            f"{path} is in use, and stays as it is: end rosey first, or let it go by `rosey plugins park database`"
        )
    with lock:
        made = path.with_name(f".{path.name}.new")
        try:
            _copy(source, made, path, progress)
            with opening.output(path):
                kept = _aside(path, now) if path.exists() else None
                made.replace(path)
                opening.give(path)
        finally:
            _remove(made)
    return kept


def shrink(path: Path) -> tuple[int, int]:
    """Write the file anew without unused pages; its bytes before and after. Raises `PluginError`, `NotReady`."""
    if not path.exists():
        raise PluginError(f"{path} is not there: there is nothing to shrink")
    opening.sound(path)
    before = path.stat().st_size
    with opening.translated(path), opening.writing(path) as connection:
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA temp_store = FILE")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, path.stat().st_size


def _copy(path: Path, made: Path, to: Path, progress: Progress) -> None:
    """Copy a database into the one file `made`, which is to be `to`, and take out who had it open."""
    with opening.output(to):
        made.unlink(missing_ok=True)
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        copy = sqlite3.connect(made, isolation_level=None)
    with contextlib.closing(copy):
        with opening.translated(path), opening.reading(path) as source:
            # One moment for all pages: else each commit of the bot would begin the copy anew.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            try:
                source.backup(copy, pages=STEP, progress=lambda _, left, pages: progress(pages - left, pages))
            except sqlite3.Error as error:
                if error.sqlite_errorcode in _OF_WRITING:
                    raise PluginError(f"{to} can't be written: {error}") from error
                raise
        with opening.output(to):
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("DELETE FROM writers")
    with opening.output(to), made.open("rb") as file:
        os.fsync(file.fileno())


def _remove(made: Path) -> None:
    """Remove what is left of a copy, where there can be one."""
    with contextlib.suppress(OSError):
        made.unlink()
        made.with_name(f"{made.name}-journal").unlink(missing_ok=True)


def _aside(path: Path, now: float) -> Path:
    """Move a file away under a dated name, with its write-ahead log: it may hold what the file does not."""
    date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    kept = path.with_name(f"{path.stem}-{date}{path.suffix}")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.stem}-{date}-{number}{path.suffix}")
    for end in ("-wal", "-shm", ""):
        part = path.with_name(path.name + end)
        if part.exists():
            part.rename(kept.with_name(kept.name + end))
    return kept
