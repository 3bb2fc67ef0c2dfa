"""`rosey db`: checks, backs up, restores, shrinks, exports the database, and takes over an older bot's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from rosey_core.cli.options import configured, load
from rosey_core.errors import RoseyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rosey_core.config import Loaded

TOLD = 20
"""Rows that are left out and told one by one."""
TABLES = ("chat", "users", "sessions", "private_messages", "media", "user_counts", "high_water", "status")


@click.group()
def db() -> None:
    """Look after the database of the plugin `database`: check, back up, restore, shrink, export, import."""


@db.command()
@configured
def check(config_path: Path | None, overrides: tuple[str, ...]) -> None:
    """Check the whole file, and count its rows. The exit code is 1 if anything is wrong. The bot may run."""
    from rosey_plugins.database.copies import report

    path = place(load(config_path, overrides))
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
@configured
def backup(config_path: Path | None, overrides: tuple[str, ...], file: str) -> None:
    """Copy the database to FILE as it is at this moment, and check the copy. The bot may run."""
    from pathlib import Path

    from rosey_plugins.database import copies

    path = place(load(config_path, overrides))
    with _progress("copied") as progress:
        made = copies.backup(path, Path(file), progress)
    click.echo(f"{file} is a whole copy, with {made.rows['chat']} lines of {made.rows['users']} users")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False))
@configured
def restore(config_path: Path | None, overrides: tuple[str, ...], file: str) -> None:
    """Check FILE and put it in the database's place. The old one is kept beside it. No bot may have it open."""
    import time
    from pathlib import Path

    from rosey_plugins.database import copies

    path = place(load(config_path, overrides))
    with _progress("copied") as progress:
        kept = copies.restore(path, Path(file), time.time(), progress)
    click.echo(f"{path} is now what {file} was")
    if kept is not None:
        click.echo(f"the old one is kept as {kept}")
    click.echo("who was forgotten since that backup is in it again: rosey privacy forget USER")


@db.command()
@configured
def vacuum(config_path: Path | None, overrides: tuple[str, ...]) -> None:
    """Write the file anew without the space of what was deleted. A bot that runs waits with its writing."""
    from rosey_plugins.database.copies import shrink

    path = place(load(config_path, overrides))
    before, after = shrink(path)
    click.echo(f"{path} has {after} bytes, and had {before}")


@db.command()
@click.option("--format", "form", type=click.Choice(("jsonl", "csv")), default="jsonl", show_default=True)
@click.option("--table", type=click.Choice(TABLES), default="chat", show_default=True)
@click.argument("file", type=click.Path(dir_okay=False), required=False)
@configured
def export(config_path: Path | None, overrides: tuple[str, ...], form: str, table: str, file: str | None) -> None:
    """Write a table to FILE, or to standard output. The bot may run."""
    import os
    import sys

    from rosey_plugins.database.dump import dump

    path = place(load(config_path, overrides))
    if file is None:
        for _ in dump(path, table, form, sys.stdout):
            pass
        return
    done = 0
    try:
        made = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise RoseyError(f"{file} is there already, and stays as it is: name another file, or remove it") from None
    except OSError as error:
        raise RoseyError(f"{file} can't be written: {error.strerror}") from None
    with open(made, "w", encoding="utf-8", newline="") as out, _progress("rows") as progress:  # noqa: PTH123  a descriptor
        for done in dump(path, table, form, out):
            progress(done, 0)
    click.echo(f"{file} has {done} rows of {table}")


@db.command("import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--channel", metavar="NAME", help="Where it belongs. Default: the first channel of the configuration.")
@configured
def import_(config_path: Path | None, overrides: tuple[str, ...], file: str, channel: str | None) -> None:
    """Take over FILE, the bot.db of an older bot. Once more does no harm. The bot may run."""
    import time
    from pathlib import Path

    from rosey_plugins.database.takeover import take_over

    loaded = load(config_path, overrides)
    channel = channel or loaded.config.first_channel
    if channel not in loaded.config.channels:
        raise RoseyError(f"there is no channel {channel}; there are {', '.join(loaded.config.channels)}")
    with _progress("rows") as progress:
        became = take_over(place(loaded), Path(file), channel, time.time(), progress)
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


def place(loaded: Loaded) -> Path:
    """Where the plugin has its file."""
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
