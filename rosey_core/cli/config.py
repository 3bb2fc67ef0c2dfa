"""`rosey check` and `rosey config`: what the configuration is, where it comes from, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rosey_core.cli.options import configured, load, print_json
from rosey_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rosey_core.config import Loaded

HIDDEN = "(hidden)"


@click.command()
@configured
def check(config_path: Path | None, overrides: tuple[str, ...]) -> None:
    """Check the configuration: every key, the plugins' own settings, and all that a start needs on this machine.

    Prints one line, or everything that is wrong. Exit code 0 or 78. A plugin that can't run is noted and no error:
    everything else runs without it.
    """
    from rosey_core.cli.known import survey_now
    from rosey_core.host.check import problems
    from rosey_core.preflight import preflight

    loaded = load(config_path, overrides)
    wrong, untried = preflight(loaded, start=False)
    known = survey_now(loaded)
    if wrong := [*wrong, *problems(loaded, known.values())]:
        raise ConfigError("\n".join(wrong))
    for note in [*untried, *_forgotten(loaded, known.keys())]:
        click.echo(f"note: {note}", err=True)
    ready = 0
    for plugin in known.values():
        ready += plugin.state == "ready"
        if plugin.state not in {"ready", "disabled"}:
            click.echo(f"warning: the plugin {plugin.name} will not run ({plugin.state}): {plugin.reason}", err=True)
    click.echo(f"ok: {_count(len(loaded.config.channels), 'channel')}, {_count(ready, 'plugin')} ready")


def _forgotten(loaded: Loaded, known: Iterable[str]) -> Iterable[str]:
    """Plugins with a table that says nowhere whether they are enabled, which is most likely forgotten."""
    for name, plugin in loaded.config.plugins.items():
        said = f"plugins.{name}.enabled" in loaded.origins or any(
            c.enabled is not None for c in plugin.channels.values()
        )
        if not said:
            missing = "" if name in known else ", and not installed"
            yield f"the plugin {name} is not enabled{missing}; to use it, write enabled = true under [plugins.{name}]"


@click.group()
def config() -> None:
    """Show the configuration, or its schema."""


@config.command()
@click.option("--origin", is_flag=True, help="Say of each key where it was set.")
@click.option("as_json", "--json", is_flag=True, help="Print JSON.")
@configured
def show(config_path: Path | None, overrides: tuple[str, ...], *, origin: bool, as_json: bool) -> None:
    """Show the configuration as it counts: all layers merged, with defaults. Of secrets it shows where they are.

    With --json --origin: {"config": ..., "origins": {"log.level": "rosey.toml:3:1", ...}}.
    """
    loaded = load(config_path, overrides)
    tables = effective(loaded)
    if as_json:
        print_json({"config": tables, "origins": loaded.origins} if origin else tables)
        return
    from rosey_core.redact import visible
    from rosey_core.settings.layers import dotted
    from rosey_core.settings.toml_text import lines

    def comment(keys: tuple[str | int, ...]) -> str:
        """The origin of a key; of a secret, that of what stands in its table."""
        key = dotted(keys)
        inside = (where for name, where in loaded.origins.items() if name.startswith(key + "."))
        return loaded.origins.get(key) or next(inside, "default") if origin else ""

    for line in lines(_without_empty(tables), comment=comment):
        click.echo(visible(line))


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file, for an editor that completes and checks as one types.

    The settings of every installed plugin are in it.
    """
    import asyncio

    from rosey_core.config import Config
    from rosey_core.host.registry import survey
    from rosey_core.settings.schema import schema as whole

    known = asyncio.run(survey(Config(version=1, channels={}), None))
    print_json(whole({name: plugin.description.schema for name, plugin in known.items() if plugin.description}))


def effective(loaded: Loaded) -> dict[str, Any]:
    """The configuration in the shape of the file, with defaults, without `None`, and with secrets as their sources.

    The state directory is the one that counts, as an absolute path.
    """
    import datetime as dt

    import msgspec

    from rosey_core.settings.checks import BESIDE_PLUGINS

    dates = (dt.datetime, dt.date, dt.time)
    tables: dict[str, Any] = _plain(msgspec.to_builtins(loaded.config, builtin_types=dates))
    tables["state_directory"] = str(loaded.state)
    beside = {key: tables.pop(key) for key in BESIDE_PLUGINS}
    for plugin in tables["plugins"].values():
        plugin["settings"] = _hide(plugin["settings"])
        for channel in plugin["channels"].values():
            channel["settings"] = _hide(channel["settings"])
    tables["plugins"] = beside | tables["plugins"]
    return tables


def _plain(value: Any) -> Any:
    """Without `None`, and of a secret's table only the source that is set."""
    from rosey_core.settings.layers import SOURCES

    if isinstance(value, dict):
        secret = value.keys() == SOURCES
        return {key: _plain(item) for key, item in value.items() if item is not None and not (secret and item == "")}
    return value


def _without_empty(tables: dict[str, Any]) -> dict[str, Any]:
    """Without the tables that are empty by default; in plugins' own settings an empty table may mean something."""
    return {
        key: _without_empty(value) if isinstance(value, dict) and key != "settings" else value
        for key, value in tables.items()
        if value != {}
    }


def _hide(value: Any) -> Any:
    """Settings are the plugin's own, so only the names of keys tell what may be secret."""
    from rosey_core.settings.layers import is_source
    from rosey_core.settings.problems import is_secret_name

    if not isinstance(value, dict):
        return value
    return {
        key: HIDDEN if is_secret_name(key) and not isinstance(item, bool) and not is_source(item) else _hide(item)
        for key, item in value.items()
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
