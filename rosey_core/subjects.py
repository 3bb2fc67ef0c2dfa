"""Builds and parses every NATS subject; no other file holds a literal of this family.

A token that comes from a person never enters a subject: channels and plugins have names of a fixed alphabet,
and event types, actions and queries come from tables.
"""

from __future__ import annotations

import re

CHANNEL_NAME = re.compile(r"[a-z0-9_-]{1,30}")
PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,29}")
QUERY_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

CORE = "core"
"""The daemon's own name on the bus; no other client may have it."""

PLATFORM = "rosey.platform"
EVENTS = "rosey.events"
COMMANDS = "rosey.commands"
PLUGINS = "rosey.plugins"

ENTRY_POINTS = "rosey.plugins"
"""The entry-point group of plugins. It stands here because it is spelt like a subject."""

CLI_ENTRY_POINTS = "rosey.cli"
"""The entry-point group by which plugins add verbs to the command line."""


def platform_event(channel: str, event_type: str) -> str:
    """Where the daemon publishes an event of a channel."""
    return f"{PLATFORM}.{channel}.{event_type}"


def plugin_event(plugin: str, name: str) -> str:
    """Where a plugin publishes an event of its own."""
    return f"{EVENTS}.{plugin}.{name}"


def plugin_query(plugin: str, name: str) -> tuple[str, str]:
    """The two subjects under which a plugin answers one query."""
    return f"{PLUGINS}.{plugin}.{name}", f"{EVENTS}.{plugin}.query.{name}"


def worker(plugin: str, *way: str) -> str:
    """A subject between the daemon and a plugin's worker: `hook`, `control` (to it), `do`, `ask`, `reply` (of it)."""
    return ".".join((PLUGINS, plugin, *way))


def of_worker(subject: str) -> tuple[str, tuple[str, ...]]:
    """The plugin and the rest of a subject that `worker` built."""
    plugin, *way = subject.removeprefix(f"{PLUGINS}.").split(".")
    return plugin, tuple(way)


def commands_all() -> str:
    """A pattern for every action that the owner's tools ask for."""
    return f"{COMMANDS}.>"


def command(channel: str, action: str) -> str:
    """Where the owner's tools ask for an action in a channel."""
    return f"{COMMANDS}.{channel}.{action}"


def parse_command(subject: str, actions: frozenset[str], first_channel: str) -> tuple[str, str] | None:
    """The channel and the action that a subject asks for, or `None`.

    The short form without a channel means the first channel.
    """
    if not subject.startswith(COMMANDS + "."):
        return None
    rest = subject[len(COMMANDS) + 1 :]
    if rest in actions:
        return first_channel, rest
    channel, _, action = rest.partition(".")
    if action in actions and CHANNEL_NAME.fullmatch(channel):
        return channel, action
    return None


def heartbeat(client: str) -> str:
    """Where a client publishes to itself to learn whether the broker still passes messages on."""
    return f"_INBOX_{client}.heartbeat"
