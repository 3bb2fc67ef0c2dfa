"""`rosey plugins dead`, `retry` and `drop`: what a durable plugin failed at."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from rosey_core.cli.live import tell
from rosey_core.cli.options import configured, load, print_json, table

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("name")
@click.option("as_json", "--json", is_flag=True, help="Print JSON.")
@configured
def dead(config_path: Path | None, overrides: tuple[str, ...], name: str, *, as_json: bool) -> None:
    """List what a durable plugin failed at, again and again: its dead letters."""
    letters = tell(load(config_path, overrides), "dead", name=name)
    if as_json:
        print_json(letters)
        return
    if not letters:
        click.echo(f"{name} has no dead letters")
        return
    rows = [one | {"when": datetime.fromtimestamp(one["when"], UTC).strftime("%Y-%m-%d %H:%M")} for one in letters]
    click.echo(table(rows))


@click.command()
@click.argument("name")
@click.argument("ids", nargs=-1, metavar="[EVENT]...")
@configured
def retry(config_path: Path | None, overrides: tuple[str, ...], name: str, ids: tuple[str, ...]) -> None:
    """Let a plugin try its dead letters again: the EVENTs that are named, or all."""
    count = tell(load(config_path, overrides), "retry", name=name, ids=ids)
    click.echo(f"{name} tries again: {count}; rosey plugins dead {name} lists what it fails at")


@click.command()
@click.argument("name")
@click.argument("ids", nargs=-1, metavar="[EVENT]...")
@configured
def drop(config_path: Path | None, overrides: tuple[str, ...], name: str, ids: tuple[str, ...]) -> None:
    """Delete dead letters of a plugin: the EVENTs that are named, or all."""
    count = tell(load(config_path, overrides), "drop", name=name, ids=ids)
    click.echo(f"dropped: {count}")


VERBS = (dead, retry, drop)
"""Those that `rosey plugins` has."""
