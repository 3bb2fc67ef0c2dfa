"""Grants: what an owner may allow a plugin or a tool, and what each event type and action needs.

One table, shown to people as it stands. Denied by default.
"""

from __future__ import annotations

from rosey_core.actions import ACTIONS

READ_GRANTS = {
    "chat.read": "read the chat",
    "chat.pm": "read private messages to the bot",
    "user.read": "see who is in the room, with ranks",
    "user.address": "see addresses and aliases (inside only)",
    "media.read": "see what plays and the playlist",
    "poll.read": "see polls and votes",
    "channel.read": "see the room's settings, numbers and the connection",
    "channel.state": "keep a whole copy of the room's state",
    "raw": "see CyTube events that have no type here",
    "judge": "decide which lines other plugins may act on",
}
"""Grants to read, each with its sentence."""

_KEEP = {"store": "keep values of its own in rosey's store"}

_BY_FAMILY = {
    "chat": "chat.read",
    "user": "user.read",
    "media": "media.read",
    "playlist": "media.read",
    "poll": "poll.read",
    "vote": "poll.read",
    "channel": "channel.read",
    "connection": "channel.read",
    "stats": "channel.read",
    "error": "channel.read",
    "core": "",
    "raw": "raw",
}

ALL_GRANTS: dict[str, str] = READ_GRANTS | _KEEP | {a.grant: a.summary for a in ACTIONS.values()}
"""Every grant that has a fixed name. `query:PLUGIN` stands beside it: to ask that plugin's queries."""


def grant_to_read(event_type: str) -> str:
    """The grant that an event type needs; empty for what everybody is told (`core.*`)."""
    return "chat.pm" if event_type == "chat.pm" else _BY_FAMILY[event_type.partition(".")[0]]


def may_read(grants: frozenset[str], event_type: str) -> bool:
    """Whether whoever has these grants is told of such events."""
    needed = grant_to_read(event_type)
    return not needed or needed in grants


def is_grant(name: str) -> bool:
    """Whether `name` is a grant at all."""
    return name in ALL_GRANTS or (name.startswith("query:") and len(name) > len("query:"))
