"""Who is in a channel, and since when: a pure reckoning over its events in the order of their numbers.

Each event counts once: what has a number that was reckoned already is a repeat. Numbers may begin at 1 again (their
file was removed); then the time tells, since a repeat is never newer than all that was reckoned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from rosey_core.api import NormalizedEvent
from rosey_core.api import events as ev

SILENT = 150.0
"""Seconds without any event after which the bot was not there: it tells its own state once a minute."""


def key_of(name: str) -> str:
    """A name as CyTube compares it."""
    return name.lower()


class Started(NamedTuple):
    """Somebody is there from `at` on."""

    key: str
    at: float


class Ended(NamedTuple):
    """Somebody was there from `since` until `at`."""

    key: str
    since: float
    at: float


class Presence(msgspec.Struct):
    """What is known of one channel.

    Attributes:
        done_seq: the number of the last event that counts, and `done_at` the newest time of any.
        seen_at: when anything of the channel was seen last, lines of chat too.
        inside: the bot is in the room, as far as it was told.
        list_at: when page 1 of the last list of users came; `list_before` is `seen_at` before it.
        listing: the keys of a list whose last page has not come yet.
        listed: a list came since the bot joined last.
        lost_events: how many events are said to be lost.
        present: who is there, by key, since when.
    """

    done_seq: int = 0
    done_at: float = 0.0
    seen_at: float = 0.0
    inside: bool = False
    list_at: float = 0.0
    list_before: float = 0.0
    listing: list[str] = []
    listed: bool = False
    lost_events: int = 0
    present: dict[str, float] = {}

    def see(self, event: NormalizedEvent) -> list[Started | Ended]:
        """Reckon with the next event. What begins and ends with it, in order."""
        at = event.timestamp
        again = event.seq <= self.done_seq
        if event.event_type in _SAID:
            if not again and not event.metadata.history:
                self.seen_at = max(self.seen_at, at)
            return []
        if again and at <= self.done_at:
            return []
        before = min(self.seen_at or at, at)  # lines have the time of another clock
        self.done_seq, self.done_at = event.seq, max(self.done_at, at)
        self.seen_at = max(self.seen_at, at)
        step = _STEPS.get(event.event_type)
        return step(self, event.data, at, before) if step else []

    def start(self, name: str, at: float) -> list[Started | Ended]:
        """Somebody is there, perhaps since before."""
        key = key_of(name)
        if not key or key in self.present:
            return []
        self.present[key] = at
        return [Started(key, at)]

    def end(self, key: str, at: float) -> list[Started | Ended]:
        """Somebody is gone."""
        since = self.present.pop(key, None)
        return [] if since is None else [Ended(key, since, max(since, at))]

    def end_all(self, at: float) -> list[Started | Ended]:
        """All are gone, or nobody sees them any more."""
        self.listing = []
        return [change for key in list(self.present) for change in self.end(key, at)]


def _joined(presence: Presence, user: ev.UserJoined, at: float, _: float) -> list[Started | Ended]:
    return presence.start(user.name, at)


def _left(presence: Presence, user: ev.UserLeft, at: float, _: float) -> list[Started | Ended]:
    return presence.end(key_of(user.name), at)


def _list(presence: Presence, page: ev.UserList, at: float, before: float) -> list[Started | Ended]:
    """A page of everybody: who is new in it starts; with the last page, who is in none has ended."""
    changes: list[Started | Ended] = []
    if page.page == 1:
        presence.list_at, presence.list_before, presence.listing = at, before, []
    presence.listing = [*presence.listing, *(key_of(user.name) for user in page.users)]
    for user in page.users:
        changes += presence.start(user.name, at)
    if page.page >= page.pages:
        listed = set(presence.listing)
        presence.listing = []
        presence.listed = True
        gone = [key for key, since in presence.present.items() if key not in listed and since < presence.list_at]
        for key in gone:
            changes += presence.end(key, presence.list_before)
    return changes


def _in(presence: Presence, _data: object, _at: float, before: float) -> list[Started | Ended]:
    """The bot is in the room; the list of users came before this.

    Where it was in already and nothing told that it lost that, it was killed: nobody saw who was there meanwhile.
    """
    changes: list[Started | Ended] = []
    if presence.inside:
        until = presence.list_before if presence.listed else before
        for key, since in list(presence.present.items()):
            if not presence.listed or since < presence.list_at:
                changes += presence.end(key, until)
                if presence.listed:
                    changes += presence.start(key, presence.list_at)
    presence.inside, presence.listed = True, False
    return changes


def _out(presence: Presence, _data: object, at: float, before: float) -> list[Started | Ended]:
    presence.inside, presence.listed = False, False
    return presence.end_all(at if at - before <= SILENT else before)


def _lost(presence: Presence, gap: ev.CoreGap, _at: float, _before: float) -> list[Started | Ended]:
    presence.lost_events += gap.count
    return []


_SAID = frozenset(("chat.message", "chat.pm"))
_Step = Callable[[Presence, Any, float, float], list[Started | Ended]]
_STEPS: dict[str, _Step] = {
    "user.joined": _joined,
    "user.left": _left,
    "user.list": _list,
    "connection.joined": _in,
    "connection.lost": _out,
    "connection.kicked": _out,
    "connection.refused": _out,
    "core.gap": _lost,
}
