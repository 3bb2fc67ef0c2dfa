"""What queries answer with. Times are UTC seconds; lists have the newest last; cursors are texts to hand back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class UserStats(msgspec.Struct, frozen=True):
    """What is known of a user. `total_time_connected` is seconds, without the session that still goes on."""

    username: str
    first_seen: float | None = None
    last_seen: float | None = None
    total_chat_lines: int = 0
    total_time_connected: float = 0
    current_session_start: float | None = None
    found: bool = False


class Line(msgspec.Struct, frozen=True):
    """A line of chat."""

    timestamp: float
    username: str
    message: str
    kind: str = "say"
    id: str = ""


class Lines(msgspec.Struct, frozen=True):
    """Lines; `before` and `after` are the cursors for older and newer ones, empty where there are none yet."""

    messages: list[Line]
    before: str = ""
    after: str = ""


class Chatter(msgspec.Struct, frozen=True):
    """A user and how many lines."""

    username: str
    total_chat_lines: int
    last_seen: float | None = None


class Chatters(msgspec.Struct, frozen=True):
    """Users, most lines first; `after` is the cursor for those behind."""

    users: list[Chatter]
    after: str = ""


class Play(msgspec.Struct, frozen=True):
    """Something that played. `seconds` is its length, 0 for live media."""

    timestamp: float
    title: str
    link: str
    type: str
    id: str
    seconds: float
    queued_by: str


class Plays(msgspec.Struct, frozen=True):
    """What played."""

    media: list[Play]
    before: str = ""
    after: str = ""


class Count(msgspec.Struct, frozen=True):
    """How many were logged in, and connected, at a time."""

    timestamp: float
    users: int
    connected: int


class Counts(msgspec.Struct, frozen=True):
    """A series of user counts."""

    counts: list[Count]
    before: str = ""
    after: str = ""


class ChannelStats(msgspec.Struct, frozen=True):
    """A channel's records and totals. `lost_events`: how many the bot was told that it missed."""

    max_users: int = 0
    max_users_timestamp: float | None = None
    max_connected: int = 0
    max_connected_timestamp: float | None = None
    total_users: int = 0
    total_chat_lines: int = 0
    total_time_connected: float = 0
    total_media: int = 0
    lost_events: int = 0


class Sighting(msgspec.Struct, frozen=True):
    """When somebody was there last; `here`: still is."""

    username: str
    found: bool = False
    here: bool = False
    last_seen: float | None = None
    last_line: float | None = None


_STATS = """
u.name, min(coalesce(u.first_seen, u.base_first_seen), coalesce(u.base_first_seen, u.first_seen)),
max(coalesce(u.last_seen, u.base_last_seen), coalesce(u.base_last_seen, u.last_seen)),
u.lines + u.base_lines, u.connected + u.base_connected,
(SELECT start_at FROM sessions WHERE user = u.id AND end_at IS NULL)"""

USER = f"SELECT {_STATS} FROM users u JOIN channels c ON c.id = u.channel WHERE c.name = ? AND u.key = ?"
CHANGED = f"""
SELECT u.channel, {_STATS} FROM users u WHERE u.id IN (
    SELECT user FROM chat NOT INDEXED WHERE id > ?1 UNION
    SELECT w.id FROM json_each(?2) j JOIN users w
        ON w.channel = json_extract(j.value, '$[0]') AND w.key = json_extract(j.value, '$[1]')
)"""
"""Those who have lines behind a number, or are named by channel and key."""


def user_stats(columns: Sequence[Any]) -> UserStats:
    """A row of `USER`, or of `CHANGED` behind its channel."""
    name, first, last, lines, connected, since = columns
    return UserStats(name, first, last, lines, connected, since, found=True)
