"""`rosey db`: checks, backs up, restores, shrinks, exports the database, and takes over an older bot's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rosey_core.cli.options import configured, load
from rosey_core.errors import RoseyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

    from rosey_core.config import Loaded

TOLD = 20
"""Rows that are left out and told one by one."""
TABLES = ("chat", "users", "sessions", "private_messages", "media", "user_counts", "high_water", "status")


UNIT = "/var/lib/rosey-plugin/database/database.db"
"""Where the shipped unit has the file."""

F = TypeVar("F", bound="Callable[..., Any]")


def located(function: F) -> F:
    """Add `--file PATH`, `--config` and `--set`; the verb gets `database`, `config_path` and `overrides`."""
    text = "The database. Default: the plugin's, below the state directory of the configuration."
    return click.option("database", "--file", metavar="PATH", type=click.Path(dir_okay=False), help=text)(
        configured(function)
    )


@click.group()
def db() -> None:
    """Look after the database of the plugin `database`: check, back up, restore, shrink, export, import."""


@db.command()
@located
def check(config_path: Path | None, overrides: tuple[str, ...], database: str | None) -> None:
    """Check the whole file, and count its rows. The exit code is 1 if anything is wrong. The bot may run."""
    from rosey_plugins.database.copies import report

    path = place(config_path, overrides, database)
    found = report(path)
    if found.wrong:
        for text in found.wrong:
            click.echo(text)
        raise RoseyError(
            f"{path} is damaged. Go back to a backup: rosey db restore FILE. Without one: stop rosey, copy the file, "
            f"and try the command .recover of sqlite3 on the copy."
        )
    click.echo(f"{path} is whole; its tables have shape {found.shape}")
    for name, count in found.rows.items():
        click.echo(f"  {name}: {count}")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False))
@located
def backup(config_path: Path | None, overrides: tuple[str, ...], database: str | None, file: str) -> None:
    """Copy the database to FILE as it is at this moment, and check the copy. The bot may run."""
    from pathlib import Path

    from rosey_plugins.database import copies

    path = place(config_path, overrides, database)
    with _progress("copied") as progress:
        made = copies.backup(path, Path(file), progress)
    click.echo(f"{file} is a whole copy, with {made.rows['chat']} lines of {made.rows['users']} users")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False))
@located
def restore(config_path: Path | None, overrides: tuple[str, ...], database: str | None, file: str) -> None:
    """Check FILE and put it in the database's place. The old one is kept beside it. No bot may have it open."""
    import time
    from pathlib import Path

    from rosey_plugins.database import copies

    path = place(config_path, overrides, database)
    with _progress("copied") as progress:
        kept = copies.restore(path, Path(file), time.time(), progress)
    click.echo(f"{path} is now what {file} was")
    if kept is not None:
        click.echo(f"the old one is kept as {kept}")
    click.echo("who was forgotten since that backup is in it again: rosey privacy forget USER")


@db.command()
@located
def vacuum(config_path: Path | None, overrides: tuple[str, ...], database: str | None) -> None:
    """Write the file anew without the space of what was deleted. A bot that runs waits with its writing."""
    from rosey_plugins.database.copies import shrink

    path = place(config_path, overrides, database)
    before, after = shrink(path)
    click.echo(f"{path} has {after} bytes, and had {before}")


@db.command()
@click.option("--format", "form", type=click.Choice(("jsonl", "csv")), default="jsonl", show_default=True)
@click.option("--table", type=click.Choice(TABLES), default="chat", show_default=True)
@click.argument("file", type=click.Path(dir_okay=False), required=False)
@located
def export(
    config_path: Path | None,
    overrides: tuple[str, ...],
    database: str | None,
    form: str,
    table: str,
    file: str | None,
) -> None:
    """Write a table to FILE, or to standard output. The bot may run."""
    import sys

    from rosey_plugins.database.dump import dump

    path = place(config_path, overrides, database)
    if file in (None, "-"):
        for _ in dump(path, table, form, sys.stdout):
            pass
        return
    done = 0
    with _made(file) as out, _progress("rows") as progress:
        for done in dump(path, table, form, out):
            progress(done, 0)
    click.echo(f"{file} has {done} rows of {table}")


@contextlib.contextmanager
def _made(file: str) -> Iterator[TextIO]:
    """A new file; what could not be written to its end is removed, so that the next try finds its place free."""
    import os
    from pathlib import Path

    try:
        made = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise RoseyError(f"{file} is there already, and stays as it is: name another file, or remove it") from None
    except OSError as error:
        raise RoseyError(f"{file} can't be written: {error.strerror}") from None
    try:
        with open(made, "w", encoding="utf-8", newline="") as out:  # noqa: PTH123  a descriptor
            yield out
    except BaseException as error:
        Path(file).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise RoseyError(f"{file} can't be written: {error.strerror}; it was removed") from None
        raise


@db.command("import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--channel", metavar="NAME", help="Where it belongs. Default: the first channel of the configuration.")
@located
def import_(
    config_path: Path | None, overrides: tuple[str, ...], database: str | None, file: str, channel: str | None
) -> None:
    """Take over FILE, the bot.db of an older bot. Once more does no harm. The bot may run."""
    import time
    from pathlib import Path

    from rosey_plugins.database.takeover import take_over

    path = place(config_path, overrides, database)
    loaded = load(config_path, overrides)
    channel = channel or loaded.config.first_channel
    if channel not in loaded.config.channels:
        raise RoseyError(f"there is no channel {channel}; there are {', '.join(loaded.config.channels)}")
    with _progress("rows") as progress:
        became = take_over(path, Path(file), channel, time.time(), progress)
    click.echo(f"into the channel {channel}:")
    for table, taken in became.items():
        if taken.lacks:
            click.echo(f"  {table}: nothing, {taken.lacks}")
            continue
        click.echo(f"  {table}: {taken.new} taken, {taken.known} were here already, {len(taken.bad)} left out")
        for number, why in taken.bad[:TOLD]:
            click.echo(f"    row {number}: {why}")
        if len(taken.bad) > TOLD:
            click.echo(f"    and {len(taken.bad) - TOLD} more")


def place(config_path: Path | None, overrides: tuple[str, ...], database: str | None) -> Path:
    """The file that is meant. Raises `RoseyError` where a unit has it, and nobody says where."""
    from pathlib import Path

    if database is not None:
        return Path(database)
    loaded = load(config_path, overrides)
    plugin = loaded.config.plugins.get("database")
    if plugin is not None and plugin.run == "unit":
        raise RoseyError(
            f'{loaded.path} says run = "unit" for the plugin database, so its file is where its unit keeps it, '
            f"usually {UNIT}: name it, as in rosey db check --file {UNIT}"
        )
    return usual(loaded)


def usual(loaded: Loaded) -> Path:
    """Where the plugin has its file, unless it is a unit."""
    from rosey_plugins.database.opening import FILE

    return loaded.state / "plugins" / "database" / FILE


@contextlib.contextmanager
def _progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how far it is; without a whole, only how much is done."""
    import sys

    if not (sys.stderr and sys.stderr.isatty()):
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns: Any = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole or None)
