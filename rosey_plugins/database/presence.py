"""Who is in a channel, and since when: a pure reckoning over its events in the order of their numbers.

Each event counts once: what has a number that was reckoned already is a repeat. Numbers may begin at 1 again (their
file was removed); then the time tells, since a repeat is never newer than all that was reckoned.

Where the bot was killed nothing tells that it lost the room, and what CyTube tells at a join (what plays, how many
are there) comes before the bot is in again. So each sign that the bot was away holds the time of what it saw before;
sessions of before end at that time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from rosey_core.api import NormalizedEvent
from rosey_core.api import events as ev

SILENT = 150.0
"""Seconds without any event after which the bot was not there: it tells its own state once a minute."""
BLOCK = 100_000
"""Numbers that the daemon reserves at once: each of its runs begins with a block of its own."""


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
        away_at: `seen_at` before the first sign that the bot was away; 0 while there is none.
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
    away_at: float = 0.0
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
            if not again and not event.metadata.history and not self._later_run(event.seq):
                self.seen_at = max(self.seen_at, at)
            return []
        if again and at <= self.done_at:
            return []
        before = min(self.seen_at or at, at)  # lines have the time of another clock
        if self.present and not self.away_at and (again or at - before > SILENT or self._later_run(event.seq)):
            self.away_at = before
        self.done_seq, self.done_at = event.seq, max(self.done_at, at)
        if event.event_type != "core.gap":  # of the time at which it was noticed
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
        """Somebody is gone; who was there before the bot was away was seen until then."""
        since = self.present.pop(key, None)
        if since is None:
            return []
        if self.away_at and since <= self.away_at:
            at = min(at, self.away_at)
        return [Ended(key, since, max(since, at))]

    def _later_run(self, seq: int) -> bool:
        """Whether a number is of a later block than the last: of a later run, or, now and then, of a long one."""
        return (seq - 1) // BLOCK > (self.done_seq - 1) // BLOCK

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

    Where it was in already and nothing told that it lost that, it was killed: nobody saw who was there meanwhile. So
    it is where it was killed on its way in.
    """
    changes: list[Started | Ended] = []
    if presence.inside or presence.listed:
        until = presence.list_before if presence.listed else before
        for key, since in list(presence.present.items()):
            if not presence.listed or since < presence.list_at:
                changes += presence.end(key, until)
                if presence.listed:
                    changes += presence.start(key, presence.list_at)
    presence.inside, presence.listed, presence.away_at = True, False, 0.0
    return changes


def _out(presence: Presence, _data: object, at: float, _: float) -> list[Started | Ended]:
    changes = presence.end_all(at)
    presence.inside, presence.listed, presence.away_at = False, False, 0.0
    return changes


def _status(presence: Presence, status: ev.StatsStatus, at: float, before: float) -> list[Started | Ended]:
    """The bot says whether it is in the room: a sign that it was away may have been a long run's next block.

    After a silence the first time is not believed: a computer that slept notices a little later what it lost.
    """
    if status.joined:
        if at - before <= SILENT:
            presence.away_at = 0.0
    elif presence.present:
        presence.away_at = presence.away_at or before
    return []


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
    "stats.status": _status,
    "core.gap": _lost,
}
