"""`rosey privacy`: what is kept about a user, told or deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rosey_core.cli.live import tell
from rosey_core.cli.options import configured, load, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 600.0
"""How long a big log may take."""
LIMIT = 1 << 30
"""Bytes of an export."""
CHUNK = 1 << 20


@click.group()
def privacy() -> None:
    """Tell or delete what is kept about a user.

    A running rosey does it: it asks each of its plugins as well.
    """


@privacy.command()
@click.argument("user")
@configured
def export(config_path: Path | None, overrides: tuple[str, ...], user: str) -> None:
    """Print all that is kept about a user, as JSON."""
    told = tell(load(config_path, overrides), "export", seconds=SECONDS, limit=LIMIT, user=user)
    silent = told.pop("silent")
    print_json(told)
    _name_silent(silent)
    if silent:
        raise click.exceptions.Exit(1)


@privacy.command()
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@configured
def forget(config_path: Path | None, overrides: tuple[str, ...], user: str, *, yes: bool) -> None:
    """Delete all that is kept about a user, then look for what is left.

    Lines of others that mention the name stay: they are theirs. Files that still hold the name are listed, such as
    backups, which are left alone.
    """
    loaded = load(config_path, overrides)
    if not yes:
        click.confirm(f"Delete everything about {user}? It does not come back", abort=True)
    told = tell(loaded, "forget", seconds=SECONDS, user=user)
    click.echo(f"event log: {told['events']['deleted']} deleted, {told['events']['changed']} stay without the name")
    if told["plugins"]:
        click.echo(f"plugins that forgot: {', '.join(told['plugins'])}")
    for entry in told["store"]:
        click.echo(f"deleted from the store of {entry['plugin']}: {entry['key']}")
    _name_silent(told["silent"])
    left = list(holding(loaded.state, user))
    for path in left:
        click.echo(f"still holds the name: {path}")
    if not left:
        click.echo(f"no file below {loaded.state} holds the name any more")
    if told["silent"]:
        raise click.exceptions.Exit(1)


def _name_silent(silent: dict[str, Any]) -> None:
    for name, why in silent.items():
        click.echo(f"{name} did not: it {why}", err=True)


def holding(directory: Path, user: str) -> Iterator[Path]:
    """The files below a directory in whose bytes a name stands, in any capitals."""
    wanted = user.lower().encode()
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink() and _holds(path, wanted):
            yield path


def _holds(path: Path, wanted: bytes) -> bool:
    before = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                if wanted in (before + chunk).lower():
                    return True
                before = chunk[-len(wanted) :]
    except OSError:
        return False
    return False
