"""Which events are kept, and whom each is about.

Kept is what happened. Whole states and what comes every few seconds are not, with one exception: `user.list`, since
who was in the room before the bot came stands nowhere else.
"""

from __future__ import annotations

from rosey_core import events as ev

ALWAYS = frozenset(
    {
        "chat.message",
        "chat.cleared",
        "user.list",
        "user.joined",
        "user.left",
        "user.rank_changed",
        "media.queued",
        "media.played",
        "poll.opened",
        "poll.updated",
        "poll.closed",
        "stats.usercount",
        "stats.high_water",
        "stats.status",
        "connection.joined",
        "connection.lost",
        "connection.kicked",
        "connection.refused",
        "core.gap",
    }
)
BY_CHOICE = frozenset({"chat.pm"})
"""Kept if the owner says so: `[eventlog] private_messages`."""
KEPT = ALWAYS | BY_CHOICE


def user_of(data: ev.Data) -> str:
    """Whom an event is about, in lower case; empty for nobody."""
    match data:
        case ev.ChatMessage(username=name) | ev.ChatPm(username=name):
            return name.lower()
        case ev.UserJoined(name=name) | ev.UserLeft(name=name) | ev.UserRankChanged(name=name):
            return name.lower()
        case ev.ChatCleared(cleared_by=name) | ev.MediaPlayed(queued_by=name):
            return name.lower()
        case ev.MediaQueued(item=item):
            return item.queued_by.lower()
        case _:
            return ""
