"""What is known of a room beside its lists: who the bot is there, what plays, polls, options, counts.

One Struct that encodes to JSON as it stands, so that a snapshot is a copy of it. It changes fields only by
putting new values into them: whoever holds a copy sees no later change. What one part of a channel means for
another (the last item goes, so nothing plays) is `channel`'s business.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from rosey_core import events as ev


class HighWater(NamedTuple):
    """The most people at once in this run of the daemon: connected, and logged in."""

    connected: int = 0
    users: int = 0


class Facts(msgspec.Struct, omit_defaults=True):
    """The plain values of a channel. What each means, the properties of `Channel` of the same names say."""

    me: str = ""
    my_rank: float = -1
    room: str = ""
    joined: bool = False
    registered: bool = True
    connected: int = 0
    high_water: HighWater = HighWater()
    leader: str = ""
    media: ev.Media | None = None
    time: float = 0
    paused: bool = False
    summary: ev.PlaylistSummary = ev.PlaylistSummary(0)
    poll: ev.PollOpened | None = None
    skip_votes: ev.VoteSkip = ev.VoteSkip(0, 0)
    drinks: int = 0
    options: dict[str, Any] = {}
    motd: ev.ChannelMotd = ev.ChannelMotd("")
    emotes: dict[str, ev.Emote] = {}
    filters: tuple[ev.Filter, ...] | None = None

    def apply(self, data: ev.Data) -> None:
        """Take one event in; those that change no plain value change nothing."""
        match data:
            case ev.MediaSynced():
                self.time, self.paused = data.time, data.paused
            case ev.MediaPlayed():
                self.media, self.time, self.paused = data.media, data.time, data.paused
            case ev.MediaPaused():
                self.time, self.paused = data.time, True
            case ev.MediaResumed():
                self.time, self.paused = data.time, False
            case ev.PlaylistSummary():
                self.summary = data
                if data.count == 0:  # the only sign of it for who may not see the list
                    self.stop()
            case ev.VoteSkip():
                self.skip_votes = data
            case ev.ChannelDrinks():
                self.drinks = data.count
            case ev.StatsUsercount():
                self.connected = data.connected
                self.raise_high_water(data.connected, 0)
            case ev.StatsHighWater():
                self.raise_high_water(data.connected, data.users)
            case ev.UserLeaderChanged():
                self.leader = data.name
            case ev.PollOpened():  # and PollUpdated, stored as the base type so that it equals its own snapshot
                self.poll = ev.PollOpened(data.title, data.options, data.counts, data.initiator, data.timestamp_ms)
            case ev.PollClosed():
                self.poll = None
            case _:
                self._apply_rare(data)

    def _apply_rare(self, data: ev.Data) -> None:
        """The events of joins and of the room's settings."""
        match data:
            case ev.ConnectionLogin(ok=True):
                self.me = data.name
            case ev.ConnectionRank():
                self.my_rank = data.rank
            case ev.UserRankChanged() if data.name.lower() == self.me.lower():
                self.my_rank = data.rank
            case ev.ConnectionJoined():
                self.joined, self.room, self.me, self.my_rank = True, data.room, data.name, data.rank
            case ev.ChannelUnregistered():
                self.registered = False
            case ev.ChannelOptions():
                self.options = data.options
            case ev.ChannelMotd():
                self.motd = data
            case ev.ChannelEmotes():
                self.emotes = {emote.name: emote for emote in data.emotes}
            case ev.ChannelEmoteChanged():
                self._change_emote(data)
            case ev.ChannelFilters():
                self.filters = data.filters
            case ev.ChannelFilterChanged():
                self._change_filter(data)
            case _:
                pass

    def stop(self) -> None:
        """Nothing plays any more."""
        self.media, self.time, self.paused = None, 0, False

    def raise_high_water(self, connected: int, users: int) -> None:
        """Raise the high-water mark to at least this. The connected are never fewer than the users."""
        old = self.high_water
        if connected > old.connected or users > old.users:
            self.high_water = HighWater(max(old.connected, connected, users), max(old.users, users))

    def _change_emote(self, data: ev.ChannelEmoteChanged) -> None:
        """One emote changed; a renamed one keeps its place, as on the web page."""
        emote = data.emote
        if data.change == "removed":
            self.emotes = {name: other for name, other in self.emotes.items() if name != emote.name}
        elif data.change == "renamed" and data.old in self.emotes:
            kept = [e for e in self.emotes.values() if e.name != emote.name or e.name == data.old]
            self.emotes = {e.name: e for e in (emote if e.name == data.old else e for e in kept)}
        else:
            self.emotes = self.emotes | {emote.name: emote}

    def _change_filter(self, data: ev.ChannelFilterChanged) -> None:
        """One filter changed, which says nothing while the others are not known."""
        if self.filters is None or data.filter is None:
            return
        filters = {old.name: old for old in self.filters}
        if data.change == "removed":
            filters.pop(data.filter.name, None)
        else:
            filters[data.filter.name] = data.filter
        self.filters = tuple(filters.values())
