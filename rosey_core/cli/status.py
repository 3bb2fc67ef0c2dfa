"""`rosey status`: what a running daemon says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rosey_core.cli.options import configured, load, print_json, table
from rosey_core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from rosey_core.config import Loaded


@click.command()
@click.option("as_json", "--json", is_flag=True, help="Print JSON.")
@configured
def status(config_path: Path | None, overrides: tuple[str, ...], *, as_json: bool) -> None:
    """Show how a running rosey is: its channels, its plugins, NATS. Exit code 1 if none runs."""
    told = ask_daemon(load(config_path, overrides), "status")
    if as_json:
        print_json(told)
    else:
        for part in page(told):
            click.echo(part)


def ask_daemon(loaded: Loaded, verb: str, *, seconds: float = 5.0, **fields: Any) -> Any:
    """Ask the daemon of this configuration. Raises `Unavailable` if none runs, or it is silent so long."""
    import asyncio

    from rosey_core.control import ask, socket_path
    from rosey_core.settings.problems import tell

    try:
        path = socket_path(loaded.state)
    except ConfigError as error:
        raise ConfigError(tell(loaded, ("state_directory",), str(error))) from None
    return asyncio.run(ask(path, verb, seconds=seconds, **fields))


def page(told: dict[str, Any]) -> list[str]:
    """The status for people, in paragraphs."""
    if not told["ready"]:
        return [f"rosey {told['version']} is starting (process {told['pid']})"]
    nats = told["nats"]
    connection = "connected" if nats["connected"] else f"NOT CONNECTED: {nats['reason']}"
    if nats["dropped"] or not nats["connected"]:
        connection += f" ({nats['waiting']} events wait, {nats['dropped']} dropped)"
    head = [
        f"rosey {told['version']}, process {told['pid']}, up {duration(told['uptime'])}",
        f"nats {nats['mode']} at {nats['url']}: {connection}",
    ]
    if stream := nats.get("stream"):
        held = f"{stream['messages']:,} events, {stream['bytes'] / (1 << 20):.1f} MiB"
        head.append(f"stream {stream['name']}: " + (f"NOT KEPT: {stream['reason']}" if stream["reason"] else held))
    log = told["eventlog"]
    if log["fault"]:
        head.append(f"EVENT LOG: {log['fault']} ({log['waiting']} events wait)")
    if log["lost"]:
        head.append(f"events that could not be kept: {log['lost']}")
    if told["store"]["fault"]:
        head.append(told["store"]["fault"])
    if (loop := told["loop"])["blocked"]:
        head.append(f"held up {loop['blocked']} times, for {loop['longest']:g} s at the longest, in {loop['place']}")
    channels = [
        {
            "channel": name,
            "state": row["state"],
            "as": row["name"],
            "rank": f"{row['rank']:g}" if row["rank"] >= 0 else "",
            "users": row["users"],
            "playing": row["playing"],
            "events": row["events"],
            "sent": row["actions"].get("done", 0),
            "not sent": row["actions"].get("refused", 0) + row["actions"].get("dropped", 0) or "",
            "unknown": row["actions"].get("unknown", 0) or "",
            "failed": row["failures"] + row["undecodable"] or "",
            "why": "; ".join(filter(None, (row["reason"], row["fault"], silenced(row["silenced"])))),
        }
        for name, row in told["channels"].items()
    ]
    plugins = [
        {
            "plugin": row["name"],
            "channel": row.get("channel", ""),
            "state": row["state"],
            "calls": row.get("calls", ""),
            "errors": row.get("errors", ""),
            "dropped": row.get("dropped", ""),
            "why": "; ".join(
                filter(None, (row["reason"] or row.get("last_error", ""), tried(row.get("refused", 0))))
            ),
        }
        for row in told["plugins"]
        if row["state"] != "disabled"
    ]
    return ["\n".join(head), table(channels), table(plugins) if plugins else "no plugin is enabled"]


def silenced(users: dict[str, int]) -> str:
    """Whom the bot does not answer for a while, and why."""
    if not users:
        return ""
    who = ", ".join(f"{user} (for {seconds} s more)" for user, seconds in users.items())
    return f"does not answer {who}: three quick answers in a row look like two bots"


def tried(times: int) -> str:
    """How often a plugin was refused something; no column, since most never are."""
    return f"it tried what it may not (times: {times})" if times else ""


def duration(seconds: float) -> str:
    """Seconds as people say them: `3d 4h`, `2m 5s`."""
    parts: list[str] = []
    left = int(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])
