"""What a CyTube event alone does not say, and the events that need it.

`Memory` knows who the bot is, whether chat is history, what plays and who queued it, and the room's emote
names. It also keeps the room's password and where users come from; neither goes into any event. This module
owns what has to be remembered for one event to be told whole. Events that need nothing are in `convert`, the
table of all of them in `translate`, and the state of the room, which has every detail, in `channel`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from rosey_core import events
from rosey_core.cytube import convert, protocol
from rosey_core.cytube.addresses import without_addresses
from rosey_core.cytube.text import EmoteNames, kind, read
from rosey_core.envelope import NOTHING, Metadata

_is_user_name = re.compile(r"[\w-]{1,20}", re.ASCII).fullmatch
_NO_META = protocol.ChatMeta()
_METADATA = (
    NOTHING,
    *(
        Metadata(history=bool(bits & 1), own=bool(bits & 2), server=bool(bits & 4), shadow=bool(bits & 8))
        for bits in range(1, 16)
    ),
)
"""Every metadata that a line can have, made once: bit 0 is history, then own, server, shadow."""


class Draft(msgspec.Struct, frozen=True, gc=False):
    """What becomes an event: `time` is the server's in UTC seconds, where it gave one."""

    data: events.Data
    time: float | None = None
    metadata: Metadata = NOTHING


class Address(msgspec.Struct, frozen=True, gc=False):
    """Where a user comes from, as CyTube tells a moderator: cloaked below rank 255. For inside use only."""

    ip: str
    aliases: tuple[str, ...] = ()


class Memory:
    """One channel's memory, kept over reconnects. Its methods take a payload and give data, or drafts.

    Attributes:
        me: the bot's name as CyTube spells it; empty until CyTube took the login.
        room_password: the room's password as CyTube told it; it leaves by no other way.
        addresses: where users come from, by name in lower case; empty below rank 2.
    """

    def __init__(self) -> None:
        self.me = ""
        self.room_password = ""
        self.addresses: dict[str, Address] = {}
        self._emotes = EmoteNames()
        self._history = False
        self._uid: int | None = None
        self._paused: bool | None = None
        self._queued_by: dict[int, str] = {}

    def joining(self) -> None:
        """`joinChannel` goes out: chat is history until the first `drinkCount` or `userlist`."""
        self._history = True
        self._uid = None
        self._paused = None
        self._queued_by = {}
        self.addresses.clear()

    def end_history(self) -> None:
        """What CyTube says from now on happens now."""
        self._history = False

    def _line(self, payload: protocol.ChatMsg | protocol.Pm) -> tuple[tuple[Any, ...], int]:
        """What `ChatMessage` and `ChatPm` have in common: all fields but the names. And bits of metadata."""
        html, meta = payload.msg, payload.meta or _NO_META
        server = _is_user_name(payload.username) is None
        if server:
            html = without_addresses(html)
        text, links = read(html) if "<" in html or "&" in html or "://" in html else (html, ())
        own = self.me != "" and payload.username.lower() == self.me.lower()
        said_as = kind(meta.add_class, action=meta.action, server=server)
        fields = (text, html, int(payload.time), said_as, links, self._emotes.find(text))
        return fields, 2 * own + 4 * server + 8 * meta.shadow

    def chat(self, payload: protocol.ChatMsg) -> list[Draft]:
        """`chatMsg`."""
        fields, bits = self._line(payload)
        metadata = _METADATA[bits + self._history]
        return [Draft(events.ChatMessage(payload.username, *fields), payload.time / 1000, metadata)]

    def pm(self, payload: protocol.Pm) -> list[Draft]:
        """`pm`: CyTube does not repeat those at a join."""
        fields, bits = self._line(payload)
        data = events.ChatPm(payload.username, payload.to, *fields)
        return [Draft(data, payload.time / 1000, _METADATA[bits])]

    def _remember(self, name: str, meta: protocol.UserMeta | None) -> None:
        """Keep where a user comes from, if CyTube tells."""
        if meta and (meta.ip or meta.aliases):
            self.addresses[name.lower()] = Address(meta.ip or "", tuple(meta.aliases or ()))

    def userlist(self, payload: list[protocol.UserEntry]) -> list[Draft]:
        """`userlist`: replaces what was known, and ends the history."""
        self._history = False
        self.addresses.clear()
        for entry in payload:
            self._remember(entry.name, entry.meta)
        return _pages(events.UserList, [events.User(*convert.user_fields(entry)) for entry in payload])

    def add_user(self, payload: protocol.UserEntry) -> events.Data:
        """`addUser`."""
        self._remember(payload.name, payload.meta)
        return events.UserJoined(*convert.user_fields(payload))

    def user_leave(self, payload: protocol.UserLeave) -> events.Data:
        """`userLeave`."""
        self.addresses.pop(payload.name.lower(), None)
        return events.UserLeft(payload.name)

    def set_user_meta(self, payload: protocol.SetUserMeta) -> events.Data:
        """`setUserMeta`."""
        self._remember(payload.name, payload.meta)
        return convert.user_meta(payload)

    def playlist(self, payload: list[protocol.PlaylistItem]) -> list[Draft]:
        """`playlist`: replaces what was known."""
        items = [convert.item(entry) for entry in payload]
        self._queued_by = {item.uid: item.queued_by for item in items}
        return _pages(events.PlaylistLoaded, items)

    def queue(self, payload: protocol.Queue) -> events.Data:
        """`queue`."""
        item = convert.item(payload.item)
        self._queued_by[item.uid] = item.queued_by
        return events.MediaQueued(item, convert.place(payload.after))

    def delete(self, payload: protocol.Delete) -> events.Data:
        """`delete`."""
        self._queued_by.pop(int(payload.uid), None)
        return events.MediaDeleted(int(payload.uid))

    def set_current(self, payload: float) -> events.Data:
        """`setCurrent`: CyTube sends it before each `changeMedia`."""
        self._uid = int(payload)
        return events.PlaylistCurrent(self._uid)

    def change_media(self, payload: protocol.ChangeMedia) -> events.Data:
        """`changeMedia`."""
        time, paused = payload.current_time or 0.0, bool(payload.paused)
        # CyTube leads in from -3 with `paused`: what follows is the beginning, not a resume.
        self._paused = paused and time >= 0
        queued_by = "" if self._uid is None else self._queued_by.get(self._uid, "")
        return events.MediaPlayed(convert.medium(payload), time, paused, self._uid, queued_by)

    def media_update(self, payload: protocol.MediaUpdate) -> list[Draft]:
        """`mediaUpdate`: a pause or its end is told beside it. Below 0 the lead-in runs, and nothing is paused."""
        time, paused = payload.current_time, bool(payload.paused)
        drafts = [Draft(events.MediaSynced(time, paused))]
        if time >= 0:
            if self._paused is not None and paused is not self._paused:
                drafts.append(Draft(events.MediaPaused(time) if paused else events.MediaResumed(time)))
            self._paused = paused
        return drafts

    def drink_count(self, payload: float) -> events.Data:
        """`drinkCount`: the first of a join ends the history."""
        self._history = False
        return events.ChannelDrinks(int(payload))

    def channel_opts(self, payload: dict[str, Any]) -> events.Data:
        """`channelOpts`, from which the password is kept back."""
        password = payload.get("password")
        self.room_password = password if isinstance(password, str) else ""  # false where there is none
        return events.ChannelOptions(
            {name: convert.bounded(value) for name, value in payload.items() if "password" not in name.lower()}
        )

    def emote_list(self, payload: list[protocol.EmoteEntry]) -> events.Data:
        """`emoteList`."""
        self._emotes = EmoteNames(entry.name for entry in payload)
        return events.ChannelEmotes(tuple(convert.emote(entry) for entry in payload))

    def update_emote(self, payload: protocol.EmoteEntry) -> events.Data:
        """`updateEmote`: a new or changed emote."""
        self._emotes.add(payload.name)
        return events.ChannelEmoteChanged("updated", convert.emote(payload))

    def rename_emote(self, payload: protocol.RenameEmote) -> events.Data:
        """`renameEmote`."""
        self._emotes.discard(payload.old)
        self._emotes.add(payload.name)
        return events.ChannelEmoteChanged("renamed", convert.emote(payload), payload.old)

    def remove_emote(self, payload: protocol.Named) -> events.Data:
        """`removeEmote`."""
        self._emotes.discard(payload.name)
        return events.ChannelEmoteChanged("removed", events.Emote(payload.name))

    def login(self, payload: protocol.Login) -> events.Data:
        """`login`: the name comes back in the capitals it is registered with."""
        if payload.success and payload.name:
            self.me = payload.name
        error = "" if payload.success else convert.words(payload.error) or "the server gave no reason"
        return events.ConnectionLogin(payload.success, payload.name or "", bool(payload.guest), error)


def _pages(struct: Callable[[tuple[Any, ...], int, int], events.Data], entries: list[Any]) -> list[Draft]:
    return [Draft(page) for page in events.paged(struct, entries)]
