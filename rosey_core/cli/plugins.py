"""`rosey plugins`: which plugins there are, what they want, and why one does not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rosey_core.cli import letters, live
from rosey_core.cli.known import known_or_refused, survey_now
from rosey_core.cli.options import configured, load, print_json, table
from rosey_core.cli.status import ask_daemon
from rosey_core.cli.unit import run_plugin
from rosey_core.errors import NoAnswer, Unavailable
from rosey_core.redact import visible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rosey_core.config import Loaded
    from rosey_core.host.registry import Known
    from rosey_core.manifest import Description


SECONDS = 2.0
"""How long a daemon is waited for: without its answer there is less to tell, and not nothing."""


@click.group()
def plugins() -> None:
    """List the plugins, show one, change what runs, or run one by itself."""


for verb in (*live.VERBS, *letters.VERBS, run_plugin):
    plugins.add_command(verb)


@plugins.command("list")
@click.option("as_json", "--json", is_flag=True, help="Print JSON.")
@configured
def list_(config_path: Path | None, overrides: tuple[str, ...], *, as_json: bool) -> None:
    """List every plugin that is installed or enabled, its state, and the reason if it does not run.

    States: ready, or running if a daemon runs; disabled; held (a grant is missing); missing (not installed); broken
    (can't be imported or described); failed (would not start); waiting (starts later); parked (stopped after
    repeated failure).
    """
    rows = overview(load(config_path, overrides, needed=False))
    if as_json:
        print_json(rows)
    elif rows:
        click.echo(table(rows))
    else:
        click.echo("no plugin is installed")


@plugins.command()
@click.argument("name")
@click.option("as_json", "--json", is_flag=True, help="Print JSON.")
@configured
def show(config_path: Path | None, overrides: tuple[str, ...], name: str, *, as_json: bool) -> None:
    """Show one plugin: how it is, what it does, asks for, keeps, and which settings it has.

    Of one whose process ended it shows the last lines that this printed. With --json, "channels" says how it is in
    each channel of a daemon that runs.
    """
    loaded = load(config_path, overrides, needed=False)
    plugin = known_or_refused(survey_now(loaded), name)
    told = running(loaded)
    rows = list(_rows(plugin, told))
    if as_json:
        import msgspec

        channels = {
            row["channel"]: {"state": row["state"], "reason": row["reason"]} for row in rows if row["channel"]
        }
        print_json(msgspec.to_builtins(plugin) | {"channels": channels})
        return
    for row in rows:
        place = f" in {row['channel']}" if row["channel"] else ""
        click.echo(f"{name}: {row['state']}{place}" + (f" ({row['reason']})" if row["reason"] else ""))
    for line in next((row["log"] for row in told or () if row["name"] == name and row.get("log")), ()):
        click.echo(f"  | {visible(line)}")
    if plugin.package:
        click.echo(f"from {plugin.package} {plugin.version}, {plugin.value}")
    if plugin.description is not None:
        granted = set(loaded.config.plugins[name].grant) if name in loaded.config.plugins else set()
        click.echo("\n".join(portrait(plugin.description, granted)))


def running(loaded: Loaded) -> list[dict[str, Any]] | None:
    """What a daemon says of its plugins, a row for each and each channel; `None` if none runs or is ready.

    One that is there and silent is told of on standard error.
    """
    try:
        told = ask_daemon(loaded, "status", seconds=SECONDS)
    except NoAnswer as error:
        click.echo(f"note: {error} What follows is what the configuration says.", err=True)
    except Unavailable:
        pass
    else:
        return list(told["plugins"]) if told["ready"] else None
    return None


def overview(loaded: Loaded) -> list[dict[str, Any]]:
    """A row for each plugin, and for each channel where a daemon runs it: name, channel, state, version, reason."""
    told = running(loaded)
    return [row for plugin in survey_now(loaded).values() for row in _rows(plugin, told)]


def _rows(plugin: Known, told: list[dict[str, Any]] | None) -> Iterable[dict[str, Any]]:
    places = [row for row in told or () if row["name"] == plugin.name]
    reason = plugin.reason
    if told is not None and not places and plugin.state == "ready":
        reason = "rosey runs without it: rosey ctl reload"
    for place in places or [{}]:
        yield {
            "name": plugin.name,
            "channel": place.get("channel", ""),
            "state": place.get("state", plugin.state),
            "version": plugin.version,
            "reason": place.get("reason", reason),
            "summary": plugin.description.summary if plugin.description else "",
        }


def portrait(description: Description, granted: set[str]) -> Iterable[str]:
    """A plugin's description for people."""
    yield f"\n{description.summary}"
    yield f"keeps: {description.keeps or 'nothing about users'}"
    yield "asks for:" if description.asks else "asks for nothing"
    for ask in description.asks:
        yield f"  {ask}{'' if ask in granted else '   (not granted)'}"
    for ask in description.may:
        yield f"  {ask}   (does without{'' if ask in granted else '; not granted'})"
    for spec in description.commands:
        also = f" (also {', '.join(spec.aliases)})" if spec.aliases else ""
        explained = f": {spec.help}" if spec.help else ""
        yield f"command: {f'{spec.name} {spec.usage}'.rstrip()}{also}{explained}"
    for name in description.queries:
        yield f"query: {name}"
    yield "settings:"
    found = False
    for name, field in _fields(description.schema).items():
        found = True
        default = f" = {_json(field['default'])}" if "default" in field else ""
        yield f"  {name}{default}   {_type(field)}"
    if not found:
        yield "  none"


def _fields(schema: dict[str, Any]) -> dict[str, Any]:
    """The fields of a settings Struct in its JSON Schema."""
    struct = schema.get("$defs", {}).get(str(schema.get("$ref", "")).rpartition("/")[2], {})
    fields: dict[str, Any] = struct.get("properties", {})
    return fields


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " | ".join(_json(value) for value in field["enum"])
    return str(field.get("type") or str(field.get("$ref", "any")).rpartition("/")[2])


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
