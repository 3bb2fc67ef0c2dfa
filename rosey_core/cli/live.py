"""Verbs that change a running rosey: `rosey ctl`, and those of `rosey plugins` that do something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rosey_core.cli.options import configured, load
from rosey_core.errors import RoseyError, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from rosey_core.config import Loaded
    from rosey_core.host.registry import Known

SECONDS = 90.0
"""How long a change may take: plugins are described, ended and started."""


@click.group()
def ctl() -> None:
    """Change a running rosey."""


@ctl.command()
@configured
def reload(config_path: Path | None, overrides: tuple[str, ...]) -> None:
    """Read the configuration again and apply what is different, without leaving a room.

    Plugins, their grants and settings, and the users of NATS can change so. What is wrong, or needs a restart, is
    told, and nothing changes then.
    """
    _told(tell(load(config_path, overrides), "reload"))


@click.command()
@click.argument("name")
@configured
def restart(config_path: Path | None, overrides: tuple[str, ...], name: str) -> None:
    """End a plugin and start it anew; one in a process of its own with its code as it is now."""
    tell(load(config_path, overrides), "restart", name=name)
    click.echo(f"{name} was restarted")


@click.command()
@click.argument("name")
@configured
def park(config_path: Path | None, overrides: tuple[str, ...], name: str) -> None:
    """Stop a plugin until `rosey plugins release`, or the next start of rosey."""
    tell(load(config_path, overrides), "park", name=name)
    click.echo(f"{name} is parked")


@click.command()
@click.argument("name")
@configured
def release(config_path: Path | None, overrides: tuple[str, ...], name: str) -> None:
    """Start a plugin that was parked, or that failed."""
    tell(load(config_path, overrides), "restart", name=name)
    click.echo(f"{name} was started")


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Grant what it asks for without asking.")
@configured
def enable(config_path: Path | None, overrides: tuple[str, ...], name: str, *, yes: bool) -> None:
    """Switch a plugin on, and grant what it asks for: writes conf.d/plugin-NAME.toml beside the configuration.

    Shows first what it asks for and what it keeps about users. A rosey that runs takes it at once.
    """
    loaded = load(config_path, overrides)
    plugin = _known(loaded, name)
    if plugin.description is None:
        raise RoseyError(f"{name} can't run: {plugin.reason}")
    description = plugin.description
    click.echo(f"{name}: {description.summary}")
    click.echo(f"keeps: {description.keeps or 'nothing about users'}")
    click.echo("asks for:" if description.asks else "asks for nothing")
    for ask in description.asks:
        click.echo(f"  {ask}: {_meaning(ask)}")
    for ask in description.may:
        click.echo(f"  can use, and does without: {ask}: {_meaning(ask)}")
    if not yes:
        click.confirm("Enable it, and grant that?", abort=True)
    _write(loaded, name, enabled=True, grant=description.asks)


@click.command()
@click.argument("name")
@configured
def disable(config_path: Path | None, overrides: tuple[str, ...], name: str) -> None:
    """Switch a plugin off: writes conf.d/plugin-NAME.toml beside the configuration.

    A rosey that runs ends it at once.
    """
    loaded = load(config_path, overrides)
    _known(loaded, name)
    _write(
        loaded, name, enabled=False, grant=loaded.config.plugins[name].grant if name in loaded.config.plugins else ()
    )


VERBS = (enable, disable, restart, park, release)
"""Those that `rosey plugins` has beside `list` and `show`."""


def _known(loaded: Loaded, name: str) -> Known:
    from rosey_core.cli.known import known_or_refused, survey_now

    return known_or_refused(survey_now(loaded), name)


def _meaning(ask: str) -> str:
    from rosey_core.grants import ALL_GRANTS

    return ALL_GRANTS.get(ask) or f"ask {ask.partition(':')[2]} what it knows"


def _write(loaded: Loaded, name: str, *, enabled: bool, grant: tuple[str, ...]) -> None:
    """Write a plugin's own file, and let a rosey that runs read it."""
    import json

    from rosey_core.settings.load import CONF_D

    path = loaded.path.parent / CONF_D / f"plugin-{name}.toml"
    text = f"# Written by `rosey plugins`, which writes it anew.\n[plugins.{name}]\nenabled = {json.dumps(enabled)}\n"
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if before is not None and not before.startswith(text.partition("\n")[0]):
        raise RoseyError(f"{path} was not written by rosey plugins; change it there, or remove it")
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{text}grant = {json.dumps(list(grant))}\n", encoding="utf-8")
    except OSError as error:
        raise RoseyError(f"{path} can't be written: {error.strerror}") from error
    click.echo(f"{path} says so now")
    try:
        _told(tell(loaded, "reload"))
    except Unavailable:
        click.echo("no rosey runs; it counts from the next start on")
    except RoseyError:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, encoding="utf-8")
        click.echo(f"{path} is as it was before", err=True)
        raise


def _told(answer: dict[str, Any]) -> None:
    names = answer["plugins"]
    click.echo(f"reloaded; ended, begun or begun anew: {', '.join(names)}" if names else "reloaded; nothing changed")


def tell(loaded: Loaded, verb: str, *, seconds: float = SECONDS, **fields: Any) -> Any:
    """Ask the daemon of this configuration to do something; what it answers."""
    from rosey_core.cli.status import ask_daemon

    return ask_daemon(loaded, verb, seconds=seconds, **fields)
