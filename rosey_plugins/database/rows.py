"""What becomes of events: the rows that they are, collected for one transaction. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rosey_core.api import Metadata, NormalizedEvent
from rosey_core.api import events as ev
from rosey_plugins.database.presence import key_of

HISTORY, OWN, SERVER, SHADOW, STOPPED, IMPORTED = 1, 2, 4, 8, 16, 32
HIDDEN = SERVER | SHADOW | STOPPED
"""Lines that queries leave out unless they are asked for: others in the room do not see them, or should not."""

FITS, BEGUN = 3, 10
"""Seconds that a play may be elsewhere than it should be at its beginning, which is `BEGUN` seconds long.

Some items are that short, and are played again and again.
"""

INSERTS = {
    "chat": """
INSERT INTO chat (channel, at, event, seq, user, text, html, kind, flags)
VALUES (?1, ?2, ?3, ?4, (SELECT id FROM users WHERE channel = ?1 AND key = ?5), ?6, ?7, ?8, ?9)
ON CONFLICT (channel, at, event) DO NOTHING""",
    "pms": """
INSERT INTO pms (channel, at, seq, sender, recipient, text, html, kind)
VALUES (?1, ?2, ?3, (SELECT id FROM users WHERE channel = ?1 AND key = ?4),
    (SELECT id FROM users WHERE channel = ?1 AND key = ?5), ?6, ?7, ?8)
ON CONFLICT (channel, at, seq) DO NOTHING""",
    "media": f"""
INSERT INTO media (channel, at, seq, type, media, title, seconds, link, position, queued_by, queued_key, uid)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 WHERE NOT EXISTS (
    SELECT 1 FROM (SELECT * FROM media WHERE channel = ?1 AND seq < ?3 ORDER BY seq DESC LIMIT 1)
    WHERE type = ?4 AND media = ?5 AND (uid = ?12 OR 0 IN (uid, ?12))
    AND (queued_key = ?11 OR '' IN (queued_key, ?11)) AND (
        seconds = 0 OR abs(?9 - position - (?2 - at)) <= {FITS}
        OR (?9 > {BEGUN} AND ?9 > position + (?2 - at) - seconds)
    )
)
ON CONFLICT (channel, at, seq) DO NOTHING""",
    "counts": "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    "high_water": "INSERT INTO high_water VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    "status": "INSERT INTO status VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
}
"""How a row of each table is added, once.

CyTube tells what plays at each join, so something that plays may be what the row before it is about: the same item,
as far in as it can be after that time, or less far because it was paused. Less far by more than its length, or at its
beginning, it was played again. The row before is that of the next lower number, whatever came since: so a repeat,
and a second copy, decide the same.
"""

SEEN = """
INSERT INTO users (channel, key, name, name_at, first_seen, last_seen) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (channel, key) DO UPDATE SET
    name = CASE WHEN (excluded.name_at, excluded.name) > (name_at, name) THEN excluded.name ELSE name END,
    name_at = max(name_at, excluded.name_at),
    first_seen = min(coalesce(first_seen, excluded.first_seen), excluded.first_seen),
    last_seen = max(coalesce(last_seen, excluded.last_seen), excluded.last_seen)"""
"""Somebody was seen; again and in any order it is the same."""

PEAK = """
UPDATE channels SET
    max_users_at = CASE
        WHEN ?2 > max_users THEN ?4 WHEN ?2 = max_users AND ?2 > 0 THEN min(coalesce(max_users_at, ?4), ?4)
        ELSE max_users_at END,
    max_users = max(max_users, ?2),
    max_connected_at = CASE
        WHEN ?3 > max_connected THEN ?4
        WHEN ?3 = max_connected AND ?3 > 0 THEN min(coalesce(max_connected_at, ?4), ?4)
        ELSE max_connected_at END,
    max_connected = max(max_connected, ?3)
WHERE id = ?1"""
"""A record of a channel, with the time when it was first reached: channel, users, connected, time."""


class Seen(msgspec.Struct):
    """When somebody was seen in these events, and how the name was written last."""

    name: str
    name_at: float
    first: float
    last: float


def storable(text: str) -> str:
    """A text as SQLite keeps it: no half of a character, and no NUL, at which its own functions would stop."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _html(text: str, html: str) -> str | None:
    return None if html == text else storable(html)


def flags_of(metadata: Metadata) -> int:
    """What is known of a line, in bits."""
    stopped = metadata.verdict is not None and metadata.verdict.stop
    return (
        HISTORY * metadata.history
        + OWN * metadata.own
        + SERVER * metadata.server
        + SHADOW * metadata.shadow
        + STOPPED * stopped
    )


class Rows:
    """The rows of some events.

    Attributes:
        tables: the rows of each table of `INSERTS`, in their order.
        seen: who was seen, by channel and key.
        peaks: channel to the most users and the most connections, each with its first time.
    """

    def __init__(self) -> None:
        self.tables: dict[str, list[tuple[Any, ...]]] = {name: [] for name in INSERTS}
        self.seen: dict[tuple[int, str], Seen] = {}
        self.peaks: list[tuple[int, int, int, float]] = []

    def add(self, channel: int, event: NormalizedEvent, *, private: bool) -> None:
        """Take an event of a channel; `private`: private messages are kept."""
        take = _TAKES.get(event.event_type)
        if take is not None and (private or event.event_type != "chat.pm"):
            take(self, channel, event, event.data)

    def see(self, channel: int, name: str, at: float) -> str:
        """Somebody was seen. The key."""
        key = key_of(storable(name))
        if not key:
            return ""
        known = self.seen.get((channel, key))
        if known is None:
            self.seen[channel, key] = Seen(storable(name), at, at, at)
            return key
        if at > known.name_at or (at == known.name_at and name > known.name):
            known.name, known.name_at = storable(name), at
        known.first, known.last = min(known.first, at), max(known.last, at)
        return key

    def users(self) -> list[tuple[Any, ...]]:
        """The rows for `SEEN`."""
        return [(*who, seen.name, seen.name_at, seen.first, seen.last) for who, seen in self.seen.items()]


def _chat(rows: Rows, channel: int, event: NormalizedEvent, line: ev.ChatMessage) -> None:
    meta, at = event.metadata, event.timestamp
    key = None if meta.server else rows.see(channel, line.username, at) or None
    html = _html(line.text, line.html or line.text)
    rows.tables["chat"].append(
        (channel, at, event.id, event.seq, key, storable(line.text), html, line.kind, flags_of(meta))
    )


def _pm(rows: Rows, channel: int, event: NormalizedEvent, line: ev.ChatPm) -> None:
    at = event.timestamp
    sender, recipient = rows.see(channel, line.username, at), rows.see(channel, line.to, at)
    html = _html(line.text, line.html or line.text)
    rows.tables["pms"].append((channel, at, event.seq, sender, recipient, storable(line.text), html, line.kind))


def _played(rows: Rows, channel: int, event: NormalizedEvent, played: ev.MediaPlayed) -> None:
    media, by = played.media, storable(played.queued_by)
    texts = tuple(map(storable, (media.type, media.id, media.title)))
    row = (channel, event.timestamp, event.seq, *texts, media.seconds, storable(media.link), played.time, by)
    rows.tables["media"].append((*row, key_of(by), played.uid or 0))


def _joined(rows: Rows, channel: int, event: NormalizedEvent, user: ev.User) -> None:
    rows.see(channel, user.name, event.timestamp)


def _left(rows: Rows, channel: int, event: NormalizedEvent, user: ev.UserLeft) -> None:
    rows.see(channel, user.name, event.timestamp)


def _list(rows: Rows, channel: int, event: NormalizedEvent, page: ev.UserList) -> None:
    for user in page.users:
        rows.see(channel, user.name, event.timestamp)


def _count(rows: Rows, channel: int, event: NormalizedEvent, count: ev.StatsUsercount) -> None:
    rows.tables["counts"].append((channel, event.timestamp, event.seq, count.connected, count.users))
    rows.peaks.append((channel, count.users, count.connected, event.timestamp))


def _high(rows: Rows, channel: int, event: NormalizedEvent, count: ev.StatsHighWater) -> None:
    rows.tables["high_water"].append((channel, event.timestamp, event.seq, count.connected, count.users))
    rows.peaks.append((channel, count.users, count.connected, event.timestamp))


def _status(rows: Rows, channel: int, event: NormalizedEvent, status: ev.StatsStatus) -> None:
    numbers = (status.uptime, status.joined, status.events, status.dropped)
    rows.tables["status"].append((channel, event.timestamp, event.seq, *numbers))


_Take = Callable[[Rows, int, NormalizedEvent, Any], None]
_TAKES: dict[str, _Take] = {
    "chat.message": _chat,
    "chat.pm": _pm,
    "media.played": _played,
    "user.joined": _joined,
    "user.left": _left,
    "user.list": _list,
    "stats.usercount": _count,
    "stats.high_water": _high,
    "stats.status": _status,
}
