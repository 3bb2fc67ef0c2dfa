"""What CyTube sends: one Struct for the payload of each server event, under CyTube's own names.

Seen on a running CyTube 3.86 and in sync `src/`. They are tolerant: unknown fields are ignored, what is not
needed has a default, a number may have a fraction, and `null` is taken where JavaScript makes one (`NaN`
becomes `null` in JSON). A payload that lacks what its event is about (a name, a uid) does not decode.

This module owns the shapes only. What they mean to rosey is in `translate`; the frames around them in `wire`.
"""

from __future__ import annotations

from typing import Annotated, Any, dataclass_transform

import msgspec
from msgspec import Meta, field

Number = Annotated[float, Meta(ge=-(2.0**53), le=2.0**53)]
"""Any number that JavaScript counts exactly, so that it can become an `int` that every reader can hold."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Payload(msgspec.Struct, frozen=True, gc=False):
    """The base of all payloads. `gc=False` is sound: they are trees of plain values."""


# --- chat --------------------------------------------------------------------------------------------------


class ChatMeta(Payload):
    """How a line is shown. `add_class` is `action`, `spoiler`, `shout`, `greentext`, `drink` or `server-whisper`."""

    add_class: str | None = field(name="addClass", default=None)
    action: bool = False
    shadow: bool = False


class ChatMsg(Payload):
    """`chatMsg`: a line of chat; `time` is the server's, in ms."""

    username: str
    msg: str
    meta: ChatMeta | None = None
    time: Number = 0.0


class Pm(Payload):
    """`pm`: a private message, to its target and back to its sender."""

    username: str
    msg: str
    to: str
    meta: ChatMeta | None = None
    time: Number = 0.0


class ClearChat(Payload):
    """`clearchat`; old servers name nobody."""

    cleared_by: str | None = field(name="clearedBy", default=None)


class NoFlood(Payload):
    """`noflood`: a muted bot spoke (`action` is `chat`), or used a command wrongly."""

    msg: str = ""
    action: str = ""


class SpamFiltered(Payload):
    """`spamFiltered`: `NEW_USER_CHAT` or `NEW_USER_CHAT_LINK`."""

    reason: str = ""


# --- users -------------------------------------------------------------------------------------------------


class Profile(Payload):
    """A user's picture and text."""

    image: str | None = None
    text: str | None = None


class UserMeta(Payload):
    """A user's state. CyTube adds the last three for receivers of rank 2 and more."""

    afk: bool = False
    muted: bool = False
    smuted: bool | None = None
    aliases: list[str] | None = None
    ip: str | None = None


class UserEntry(Payload):
    """`addUser`, and each entry of `userlist`."""

    name: str
    rank: Number | None = None
    profile: Profile | None = None
    meta: UserMeta | None = None


class UserLeave(Payload):
    """`userLeave`."""

    name: str


class SetUserMeta(Payload):
    """`setUserMeta`."""

    name: str
    meta: UserMeta


class SetAfk(Payload):
    """`setAFK`."""

    name: str
    afk: bool = False


class SetUserRank(Payload):
    """`setUserRank`; a `userrank` that it may hold is another user's, so it is not read."""

    name: str
    rank: Number


class SetUserProfile(Payload):
    """`setUserProfile`."""

    name: str
    profile: Profile | None = None


# --- media and playlist ------------------------------------------------------------------------------------


class MediaEntry(Payload):
    """Something to watch. `seconds` is 0 for live media; old servers say `--:--`."""

    id: str
    type: str
    title: str | None = None
    seconds: Number | str | None = None


class ChangeMedia(MediaEntry):
    """`changeMedia`: a lead-in of three seconds starts at -3, paused."""

    current_time: Number | None = field(name="currentTime", default=None)
    paused: bool | None = None


class MediaUpdate(Payload):
    """`mediaUpdate`; it does not say of what."""

    current_time: Number = field(name="currentTime")
    paused: bool | None = None


class PlaylistItem(Payload):
    """Each entry of `playlist`, and the item of `queue`."""

    media: MediaEntry
    uid: Number
    temp: bool | None = None
    queueby: str | None = None


class Queue(Payload):
    """`queue`; `after` is a uid or `prepend`."""

    item: PlaylistItem
    after: Number | str


class Delete(Payload):
    """`delete`."""

    uid: Number


class MoveVideo(Payload):
    """`moveVideo`; `after` is a uid, `prepend` or `append`."""

    from_: Number = field(name="from")
    after: Number | str


class SetTemp(Payload):
    """`setTemp`."""

    uid: Number
    temp: bool


class PlaylistMeta(Payload):
    """`setPlaylistMeta`; `time` says `raw_time` as `MM:SS` or `HH:MM:SS`."""

    count: Number
    raw_time: Number | None = field(name="rawTime", default=None)
    time: str | None = None


class QueueFail(Payload):
    """`queueFail`, `queueWarn`. `msg` is HTML-escaped where a lookup failed."""

    msg: str | None = None
    link: str | None = None
    id: str | None = None


class SearchResults(Payload):
    """`searchResults`."""

    results: list[MediaEntry]
    source: str = ""


class SavedList(Payload):
    """Each entry of `listPlaylists`."""

    name: str
    count: Number | None = None
    duration: Number | str | None = None


# --- polls and votes ---------------------------------------------------------------------------------------


class Poll(Payload):
    """`newPoll`, `updatePoll`. Counts are strings (`?`, `3?`) while they are hidden; the rest is HTML."""

    title: str
    options: list[str]
    counts: list[Number | str]
    initiator: str | None = None
    timestamp: Number | None = None


class VoteSkip(Payload):
    """`voteskip`."""

    count: Number
    need: Number | None = None


# --- the room ----------------------------------------------------------------------------------------------


class CssJs(Payload):
    """`channelCSSJS`."""

    css: str | None = None
    css_hash: str | None = field(name="cssHash", default=None)
    js: str | None = None
    js_hash: str | None = field(name="jsHash", default=None)


class Motd(Payload):
    """`setMotd` of old servers; now it is the HTML itself."""

    motd: str = ""


class EmoteEntry(Payload):
    """`updateEmote`, and each entry of `emoteList`. `image` is HTML-escaped, once more at each channel load."""

    name: str
    image: str | None = None
    source: str | None = None


class RenameEmote(EmoteEntry):
    """`renameEmote`."""

    old: str = ""


class Named(Payload):
    """`removeEmote`, `deleteChatFilter`: only the name counts."""

    name: str


class FilterEntry(Payload):
    """`updateChatFilter`, and each entry of `chatFilters`."""

    name: str
    source: str | None = None
    flags: str | None = None
    replace: str | None = None
    active: bool | None = None
    filterlinks: bool | None = None


class BanEntry(Payload):
    """Each entry of `banlist`; `ip` is `*` for a ban of the name."""

    id: Number
    name: str | None = None
    reason: str | None = None
    bannedby: str | None = None
    ip: str | None = None


class BanRemove(Payload):
    """`banlistRemove`."""

    id: Number
    name: str | None = None


class RankEntry(Payload):
    """Each entry of `channelRanks`."""

    name: str
    rank: Number


class ReadChanLog(Payload):
    """`readChanLog`: the last 100 KiB of the room's log, which starts anywhere in a line."""

    success: bool
    data: str | None = None


class Announcement(Payload):
    """`announcement`; `text` is HTML."""

    title: str | None = None
    text: str | None = None
    from_: str | None = field(name="from", default=None)


class LargeChandump(Payload):
    """`warnLargeChandump`, in bytes."""

    limit: Number | None = None
    actual: Number | None = None


# --- the connection, errors --------------------------------------------------------------------------------


class Login(Payload):
    """`login`. `error` is a text, or whatever the database threw."""

    success: bool
    name: str | None = None
    guest: bool | None = None
    error: Any = None


class Kick(Payload):
    """`kick`; `{}` is possible."""

    reason: str | None = None


class Server(Payload):
    """Each server of `partitionChange`."""

    url: str


class PartitionChange(Payload):
    """`partitionChange`."""

    servers: list[Server] | None = None


class ErrorMsg(Payload):
    """`errorMsg`, `channelRankFail`, `costanza`. `msg` may be whatever the database threw."""

    msg: Any = None
    code: Any = None
    alert: bool | None = None


class Validation(Payload):
    """`validationError`, `validationPassed`; `target` is an element of the settings page."""

    target: str = ""
    message: str | None = None
