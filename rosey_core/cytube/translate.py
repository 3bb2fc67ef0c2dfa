"""From CyTube's events to rosey's: one table of all of them.

`Translator.feed` takes what `wire` heard and gives drafts of events. What has no row becomes `raw.<name>`, and
so does a payload that does not decode; both without what may be an address, an alias or the room's password.

This module owns which event becomes what. Payload shapes are in `protocol`, what has to be remembered is in
`memory`, single fields in `convert`, HTML in `text`, finding addresses in `addresses`. No input raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from rosey_core import events
from rosey_core.cytube import convert, protocol, wire
from rosey_core.cytube.addresses import json_without_addresses, log_without_addresses
from rosey_core.cytube.memory import Address, Draft, Memory

__all__ = ["EVENTS", "Address", "Draft", "Row", "Translator"]

_SURROGATE = re.compile(
    rb"(\\[^u]|\\u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
"""Half a surrogate pair, as JSON spells it; whole pairs and other escapes are group 1."""

_list = msgspec.json.Decoder(list[msgspec.Raw])


class Translator(Memory):
    """Makes drafts of events; one for each channel, kept over reconnects. Tell it `joining()`.

    Attributes:
        undecodable: how many known events had a payload of an unknown shape.
    """

    def __init__(self) -> None:
        super().__init__()
        self.undecodable = 0

    def feed(self, event: wire.Event) -> list[Draft]:
        """The drafts for one event, in order. It never raises: what can't be read becomes a `Raw`."""
        row = EVENTS.get(event.name)
        if row is None:
            return [Draft(events.Raw(event.name, _plain_arguments(event.args)))]
        try:
            try:
                payload = row.decode(event.args or b"null")
            except msgspec.DecodeError:
                payload = row.decode(_first_argument(event.args))
            result = row.make(self, payload)
        except Exception:  # whatever a server sends, the room goes on; the count says that a row needs a look
            self.undecodable += 1
            if event.name in {"userlist", "drinkCount"}:
                self.end_history()
            args = None if row.secret else _plain_arguments(event.args)
            return [Draft(events.Raw(event.name, args))]
        return result if isinstance(result, list) else [Draft(result)]


def _arguments(args: bytes) -> bytes:
    """The JSON list of an event's arguments.

    CyTube cuts lines between the two halves of an emoji, and JSON may hold half a pair; nobody else takes it.
    """
    return b"[" + _SURROGATE.sub(lambda match: match[1] or rb"\ufffd", args) + b"]"


def _first_argument(args: bytes) -> bytes:
    """What should be decoded where the arguments as they came could not be."""
    return bytes(_list.decode(_arguments(args))[0])


def _plain_arguments(args: bytes) -> Any:
    """The arguments of an event without type, less what may be secret; `None` where they are no JSON."""
    try:
        return json_without_addresses(msgspec.json.decode(_arguments(args)))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


class Row:
    """One event of CyTube: the shape of its payload, and what becomes of it.

    Attributes:
        payload: a type for msgspec; with `None` in it, the payload may be missing or null.
        make: gives an event's data, or drafts; it may raise for what is no payload.
        secret: the payload holds addresses or the password, so its raw form is never told.
        decode: from JSON (UTF-8) to `payload`.
    """

    __slots__ = ("decode", "make", "payload", "secret")

    def __init__(
        self,
        payload: Any,
        make: Callable[[Translator, Any], events.Data | list[Draft]],
        *,
        secret: bool = False,
    ) -> None:
        self.payload = payload
        self.make = make
        self.secret = secret
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(payload).decode


def _nothing(self: Translator, payload: Any) -> list[Draft]:  # noqa: ARG001  a row's form
    return []


_Number = protocol.Number

EVENTS: dict[str, Row] = {
    # chat
    "chatMsg": Row(protocol.ChatMsg, Memory.chat),
    "pm": Row(protocol.Pm, Memory.pm),
    "clearchat": Row(protocol.ClearChat | None, lambda _, p: events.ChatCleared((p.cleared_by or "") if p else "")),
    "cooldown": Row(_Number | None, lambda _, p: events.ChatRefused("cooldown", wait_ms=p or 0.0)),
    "noflood": Row(protocol.NoFlood, lambda _, p: convert.flood(p)),
    "spamFiltered": Row(protocol.SpamFiltered, lambda _, p: convert.spam(p)),
    # users
    "userlist": Row(list[protocol.UserEntry], Memory.userlist, secret=True),
    "addUser": Row(protocol.UserEntry, Memory.add_user, secret=True),
    "userLeave": Row(protocol.UserLeave, Memory.user_leave),
    "setUserMeta": Row(protocol.SetUserMeta, Memory.set_user_meta, secret=True),
    # Older clients' form of the setUserMeta just before it: it would tell the same change twice.
    "setAFK": Row(protocol.SetAfk, _nothing),
    "setUserRank": Row(protocol.SetUserRank, lambda _, p: events.UserRankChanged(p.name, p.rank)),
    "setUserProfile": Row(protocol.SetUserProfile, lambda _, p: convert.profile(p)),
    "setLeader": Row(str | None, lambda _, p: events.UserLeaderChanged(p or "")),
    # media and playlist
    "playlist": Row(list[protocol.PlaylistItem], Memory.playlist),
    "queue": Row(protocol.Queue, Memory.queue),
    "delete": Row(protocol.Delete, Memory.delete),
    "moveVideo": Row(protocol.MoveVideo, lambda _, p: events.MediaMoved(int(p.from_), convert.place(p.after))),
    "setTemp": Row(protocol.SetTemp, lambda _, p: events.MediaTempChanged(int(p.uid), p.temp)),
    "setPlaylistMeta": Row(protocol.PlaylistMeta, lambda _, p: convert.summary(p)),
    "setPlaylistLocked": Row(bool, lambda _, p: events.PlaylistLocked(p)),
    "setCurrent": Row(_Number, Memory.set_current),
    "changeMedia": Row(protocol.ChangeMedia, Memory.change_media),
    "mediaUpdate": Row(protocol.MediaUpdate, Memory.media_update),
    "queueFail": Row(protocol.QueueFail, lambda _, p: convert.queue_failed(p)),
    "queueWarn": Row(protocol.QueueFail, lambda _, p: convert.queue_warned(p)),
    "searchResults": Row(
        protocol.SearchResults,
        lambda _, p: events.MediaFound(p.source, tuple(map(convert.medium, p.results))),
    ),
    "listPlaylists": Row(list[protocol.SavedList], lambda _, p: events.PlaylistSaved(tuple(map(convert.saved, p)))),
    # polls and votes
    "newPoll": Row(protocol.Poll, lambda _, p: convert.poll(events.PollOpened, p)),
    "updatePoll": Row(protocol.Poll, lambda _, p: convert.poll(events.PollUpdated, p)),
    "closePoll": Row(Any, lambda _, __: events.PollClosed()),
    "voteskip": Row(protocol.VoteSkip, lambda _, p: events.VoteSkip(int(p.count), int(p.need or 0))),
    "clearVoteskipVote": Row(Any, lambda _, __: events.VoteSkipCleared()),
    # the room
    "channelOpts": Row(dict[str, Any], Memory.channel_opts, secret=True),
    "setPermissions": Row(
        dict[str, _Number | None],
        lambda _, p: events.ChannelPermissions({node: rank for node, rank in p.items() if rank is not None}),
    ),
    "setMotd": Row(str | protocol.Motd | None, lambda _, p: convert.motd(p)),
    "channelCSSJS": Row(protocol.CssJs, lambda _, p: convert.style(p)),
    "emoteList": Row(list[protocol.EmoteEntry], Memory.emote_list),
    "updateEmote": Row(protocol.EmoteEntry, Memory.update_emote),
    "renameEmote": Row(protocol.RenameEmote, Memory.rename_emote),
    "removeEmote": Row(protocol.Named, Memory.remove_emote),
    "chatFilters": Row(
        list[protocol.FilterEntry], lambda _, p: events.ChannelFilters(tuple(map(convert.chat_filter, p)))
    ),
    "updateChatFilter": Row(
        protocol.FilterEntry, lambda _, p: events.ChannelFilterChanged("updated", convert.chat_filter(p))
    ),
    "deleteChatFilter": Row(
        protocol.Named, lambda _, p: events.ChannelFilterChanged("removed", events.Filter(p.name))
    ),
    "addFilterSuccess": Row(Any, lambda _, __: events.ChannelFilterChanged("added")),
    "announcement": Row(protocol.Announcement, lambda _, p: convert.announcement(p)),
    "drinkCount": Row(_Number, Memory.drink_count),
    "banlist": Row(list[protocol.BanEntry], lambda _, p: events.ChannelBans(tuple(map(convert.ban, p))), secret=True),
    "banlistRemove": Row(protocol.BanRemove, lambda _, p: convert.ban_removed(p)),
    "channelRanks": Row(
        list[protocol.RankEntry],
        lambda _, p: events.ChannelRanks(tuple(events.ChannelRank(one.name, one.rank) for one in p)),
    ),
    "readChanLog": Row(
        protocol.ReadChanLog,
        lambda _, p: events.ChannelLog(p.success, log_without_addresses(p.data or "")),
        secret=True,
    ),
    "validationPassed": Row(protocol.Validation, lambda _, p: events.ChannelValidated(p.target)),
    "channelNotRegistered": Row(Any, lambda _, __: events.ChannelUnregistered()),
    "warnLargeChandump": Row(
        protocol.LargeChandump, lambda _, p: events.ChannelTooLarge(int(p.limit or 0), int(p.actual or 0))
    ),
    "usercount": Row(_Number, lambda _, p: events.StatsUsercount(int(p))),
    # the connection, errors
    "login": Row(protocol.Login, Memory.login, secret=True),
    "rank": Row(_Number, lambda _, p: events.ConnectionRank(p)),
    "needPassword": Row(bool | None, lambda _, p: events.ConnectionPassword("wrong" if p else "needed")),
    "cancelNeedPassword": Row(Any, lambda _, __: events.ConnectionPassword("accepted")),
    "kick": Row(protocol.Kick | None, lambda _, p: events.ConnectionKicked((p.reason or "") if p else "")),
    "partitionChange": Row(protocol.PartitionChange | None, lambda _, p: convert.moved(p)),
    "errorMsg": Row(protocol.ErrorMsg, lambda _, p: convert.error("errorMsg", p)),
    "channelRankFail": Row(protocol.ErrorMsg, lambda _, p: convert.error("channelRankFail", p)),
    "costanza": Row(protocol.ErrorMsg, lambda _, p: convert.error("costanza", p)),
    "validationError": Row(protocol.Validation, lambda _, p: convert.validation_error(p)),
}
"""Every event that CyTube 3.86 sends to a client of a room, and its row. What has none becomes a `Raw`."""
