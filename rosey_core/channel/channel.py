"""One channel as it is now: a pure reducer over events, with snapshots.

`Channel.apply` is the only way to change it. Plugins hold the very same object, and all that they see of it
is properties and look-ups. It owns what CyTube tells of a room, and no more: no chat, no addresses.

A join tells the whole state again, but says nothing of what is absent: that nothing plays, that there is no
poll, that nobody leads. So the end of a connection (`connection.lost`, `.kicked`, `.refused`) empties
everything: away, the bot sees an empty room as an anonymous visitor. Only `high_water` stays.
"""

from __future__ import annotations

import copy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from rosey_core import events as ev
from rosey_core.channel import permissions, playlist, users
from rosey_core.channel.facts import Facts, HighWater
from rosey_core.channel.permissions import Permissions
from rosey_core.channel.playlist import Playlist
from rosey_core.channel.users import Users

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDS = frozenset({ev.ConnectionLost, ev.ConnectionKicked, ev.ConnectionRefused})
_MAY_HIDE = frozenset({ev.ChannelPermissions, ev.ConnectionRank, ev.UserRankChanged})
_NO_FACTS = (playlist.EVENTS | users.EVENTS | permissions.EVENTS) - {ev.MediaPlayed, ev.UserRankChanged} | {
    ev.ChatMessage
}
"""The frequent events that change no plain value: a short cut, for speed only."""


class ChannelSnapshot(msgspec.Struct, frozen=True):
    """A whole channel as JSON can hold it. With it and the events after it, a worker has an equal copy."""

    facts: Facts
    users: tuple[ev.User, ...] = ()
    items: tuple[ev.Item, ...] = ()
    current: int | None = None
    nodes: dict[str, float] = {}
    locked: bool = True


class Channel:
    """The state of one channel.

    Attributes:
        users: who is here.
        playlist: what is queued, as far as the bot may see it.
        permissions: who may do what.
    """

    __slots__ = ("_facts", "permissions", "playlist", "users")

    def __init__(self) -> None:
        self._facts = Facts()
        self.users = Users()
        self.playlist = Playlist()
        self.permissions = Permissions()

    def apply(self, data: ev.Data) -> None:
        """Take one event in. Events that change no state are ignored, and none raises."""
        kind = type(data)
        if kind in playlist.EVENTS:
            had_items = len(self.playlist) > 0
            self.playlist.apply(data)
            if had_items and not len(self.playlist):
                # CyTube has no word for "nothing plays": it is so when the last item goes.
                self._facts.stop()
        elif kind in users.EVENTS:
            self.users.apply(data)
            self._facts.raise_high_water(self._facts.connected, len(self.users))
        elif kind in permissions.EVENTS:
            self.permissions.apply(data)
        elif kind in _ENDS:
            self._leave()
        if kind not in _NO_FACTS:
            self._facts.apply(data)
        if kind in _MAY_HIDE and len(self.playlist) and not self.can("seeplaylist"):
            # CyTube stops telling what happens to a list that the bot may no longer see.
            self.playlist.apply(ev.PlaylistLoaded(()))

    def _leave(self) -> None:
        """Know nothing. The parts stay the same objects, since plugins may hold them."""
        self._facts = Facts(high_water=self._facts.high_water)
        self.users.apply(ev.UserList(()))
        self.playlist.apply(ev.PlaylistLoaded(()))
        self.permissions.apply(ev.ChannelPermissions({}))
        self.permissions.apply(ev.PlaylistLocked(locked=True))

    def snapshot(self) -> ChannelSnapshot:
        """The whole state, independent of what comes later."""
        return ChannelSnapshot(
            facts=copy.copy(self._facts),
            users=tuple(self.users),
            items=tuple(self.playlist),
            current=self.playlist.current_uid,
            nodes=dict(self.permissions.nodes),
            locked=self.permissions.locked,
        )

    @classmethod
    def restore(cls, snapshot: ChannelSnapshot) -> Channel:
        """A channel that equals the one of the snapshot."""
        channel = cls()
        channel._facts = copy.copy(snapshot.facts)
        channel.users = Users(snapshot.users)
        channel.playlist = Playlist(snapshot.items, snapshot.current)
        channel.permissions = Permissions(snapshot.nodes, locked=snapshot.locked)
        return channel

    def can(self, node: str) -> bool:
        """Whether the bot passes a permission node of CyTube now; nobody passes one that the room lacks."""
        return self.permissions.allows(self._facts.my_rank, node)

    @property
    def me(self) -> str:
        """The bot's name as CyTube spells it; empty while it is anonymous or away."""
        return self._facts.me

    @property
    def my_rank(self) -> float:
        """The bot's rank in this room; -1 while it is anonymous or away."""
        return self._facts.my_rank

    @property
    def room(self) -> str:
        """CyTube's name for the place; empty before the join is complete."""
        return self._facts.room

    @property
    def joined(self) -> bool:
        """Whether the bot is in the room and all of this is known."""
        return self._facts.joined

    @property
    def registered(self) -> bool:
        """False where the room belongs to nobody, so that CyTube saves nothing of it."""
        return self._facts.registered

    @property
    def connected(self) -> int:
        """How many are connected, with the anonymous. CyTube tells it at most once in ten seconds."""
        return self._facts.connected

    @property
    def high_water(self) -> HighWater:
        """The most people at once since the daemon started; a rejoin does not reset it."""
        return self._facts.high_water

    @property
    def leader(self) -> str:
        """Who leads playback; empty when the server does."""
        return self._facts.leader

    @property
    def media(self) -> ev.Media | None:
        """What plays; `None` when nothing does."""
        return self._facts.media

    @property
    def time(self) -> float:
        """Seconds into `media` when CyTube last told it (every five); below 0 during the lead-in."""
        return self._facts.time

    @property
    def paused(self) -> bool:
        """Whether playback stands still."""
        return self._facts.paused

    @property
    def summary(self) -> ev.PlaylistSummary:
        """CyTube's count and length of the playlist, told also to those who may not see the list itself.

        The count may be too high: CyTube does not correct it after it lost an item in a move.
        """
        return self._facts.summary

    @property
    def poll(self) -> ev.PollOpened | None:
        """The open poll, with its newest counts, or `None`."""
        return self._facts.poll

    @property
    def skip_votes(self) -> ev.VoteSkip:
        """Votes to skip the current item; told to those with the permission `viewvoteskip` only."""
        return self._facts.skip_votes

    @property
    def drinks(self) -> int:
        """The drink counter."""
        return self._facts.drinks

    @property
    def locked(self) -> bool:
        """Whether the playlist is locked."""
        return self.permissions.locked

    @property
    def options(self) -> Mapping[str, Any]:
        """The room's options, under CyTube's names."""
        return MappingProxyType(self._facts.options)

    @property
    def motd(self) -> ev.ChannelMotd:
        """The message of the day."""
        return self._facts.motd

    @property
    def emotes(self) -> Mapping[str, ev.Emote]:
        """The room's emotes by name."""
        return MappingProxyType(self._facts.emotes)

    @property
    def filters(self) -> tuple[ev.Filter, ...] | None:
        """The room's chat filters; `None` while CyTube was not asked for them."""
        return self._facts.filters
