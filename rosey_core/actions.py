"""What a bot can do in a channel: one Struct for each action, and what became of it.

An action's name is also its last subject tokens (`rosey.commands.cytube.chat.send_message`) and, but for
talking, the grant that it needs. How CyTube spells it, which rank or permission it needs there and what
confirms it stand in one table in `cytube.outgoing`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
from msgspec.structs import force_setattr

from rosey_core.media import parse


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of all actions. A subclass says `name`, `summary` and, where it differs from `name`, `grant`."""

    name: ClassVar[str] = ""
    grant: ClassVar[str] = ""
    summary: ClassVar[str] = ""


class SendMessage(Action, frozen=True):
    """A line of chat. Longer than CyTube's 320 UTF-16 units, it goes out as several.

    `me` makes it an action line (`/me waves`). A leading `/` never becomes a CyTube command.
    """

    name = "chat.send_message"
    grant = "chat.send"
    summary = "speak in the chat"
    text: str
    me: bool = False


class SendPm(Action, frozen=True):
    """A private message to somebody who is in the room."""

    name = "chat.send_pm"
    grant = "chat.pm.send"
    summary = "send private messages"
    to: str
    text: str


class ClearChat(Action, frozen=True):
    """Clear everybody's chat window."""

    name = "chat.clear"
    summary = "clear the chat"


class MuteUser(Action, frozen=True):
    """Mute somebody until unmuted."""

    name = "user.mute"
    summary = "mute users"
    user: str


class ShadowMuteUser(Action, frozen=True):
    """Mute somebody without telling them."""

    name = "user.shadow_mute"
    summary = "shadow-mute users"
    user: str


class UnmuteUser(Action, frozen=True):
    """Take back a mute or a shadow mute."""

    name = "user.unmute"
    summary = "unmute users"
    user: str


class KickUser(Action, frozen=True):
    """Throw somebody out; they may come back."""

    name = "user.kick"
    summary = "kick users"
    user: str
    reason: str = ""


class KickAnonymous(Action, frozen=True):
    """Throw out everybody who is not logged in."""

    name = "user.kick_anonymous"
    summary = "kick everybody who is not logged in"


class BanUser(Action, frozen=True):
    """Ban a name, until it is unbanned."""

    name = "user.ban"
    summary = "ban names"
    user: str
    reason: str = ""


class BanAddress(Action, frozen=True):
    """Ban every address that a name was seen from. `range` widens it: `range` or `wrange` are CyTube's words."""

    name = "user.ban_address"
    summary = "ban addresses"
    user: str
    reason: str = ""
    range: Literal["", "range", "wrange"] = ""


class UnbanUser(Action, frozen=True):
    """Remove one row of the ban list, by its number."""

    name = "user.unban"
    summary = "remove bans"
    id: int
    user: str


class SetRank(Action, frozen=True):
    """Set somebody's rank in this channel; it must be below the bot's own."""

    name = "user.set_rank"
    summary = "set ranks"
    user: str
    rank: float


class SetLeader(Action, frozen=True):
    """Let somebody lead playback; an empty name gives it back to the server."""

    name = "user.set_leader"
    summary = "choose the leader"
    user: str = ""


class SetAway(Action, frozen=True):
    """Show the bot as away, or as back."""

    name = "user.set_away"
    summary = "show the bot as away"
    away: bool = True


class QueueMedia(Action, frozen=True):
    """Put something into the playlist: a `link`, or CyTube's own `id` and `type`, which a link is turned into.

    `title` is for raw files and custom embeds only, `duration` (seconds) for live media only.
    """

    name = "media.queue"
    summary = "add to the playlist"
    id: str = ""
    type: str = ""
    position: Literal["end", "next"] = "end"
    temp: bool = True
    title: str | None = None
    duration: float | None = None
    link: str = ""

    def __post_init__(self) -> None:
        if not self.link:
            if not self.id or not self.type:
                raise ValueError("give a link, or an id and a type")
            return
        found = parse(self.link)
        if found is None:
            raise ValueError(f"{self.link!r} is no link to media that CyTube knows")
        force_setattr(self, "id", found.id)
        force_setattr(self, "type", found.type)


class DeleteMedia(Action, frozen=True):
    """Take an item out of the playlist."""

    name = "media.delete"
    summary = "remove from the playlist"
    uid: int


class MoveMedia(Action, frozen=True):
    """Move an item behind another (`after` is its uid), to the front (`prepend`) or the end (`append`)."""

    name = "media.move"
    summary = "reorder the playlist"
    uid: int
    after: int | Literal["prepend", "append"]


class JumpTo(Action, frozen=True):
    """Play an item now."""

    name = "media.jump"
    summary = "choose what plays"
    uid: int


class PlayNext(Action, frozen=True):
    """Play the next item now."""

    name = "media.play_next"
    summary = "skip what plays"


class SetTemp(Action, frozen=True):
    """Make an item temporary or permanent."""

    name = "media.set_temp"
    summary = "make items temporary or permanent"
    uid: int
    temp: bool


class SyncMedia(Action, frozen=True):
    """Tell everybody where playback stands, as the leader."""

    name = "media.sync"
    summary = "steer playback as the leader"
    id: str
    type: str
    time: float
    paused: bool = False


class RefreshMedia(Action, frozen=True):
    """Have CyTube tell again what plays."""

    name = "media.refresh"
    summary = "ask again what plays"


class SearchMedia(Action, frozen=True):
    """Search the channel's library, or YouTube."""

    name = "media.search"
    summary = "search for media"
    query: str
    source: Literal["library", "yt"] = "library"


class UncacheMedia(Action, frozen=True):
    """Remove something from the channel's library."""

    name = "media.uncache"
    summary = "remove from the library"
    id: str


class ClearPlaylist(Action, frozen=True):
    """Empty the playlist."""

    name = "playlist.clear"
    summary = "empty the playlist"


class ShufflePlaylist(Action, frozen=True):
    """Shuffle the playlist; every uid changes."""

    name = "playlist.shuffle"
    summary = "shuffle the playlist"


class LockPlaylist(Action, frozen=True):
    """Lock or unlock the playlist. CyTube can only toggle, so it is sent only where it changes something."""

    name = "playlist.lock"
    summary = "lock and unlock the playlist"
    locked: bool = True


class RequestPlaylist(Action, frozen=True):
    """Have CyTube tell the whole list again; once a minute."""

    name = "playlist.request"
    summary = "ask for the whole playlist"


class CleanPlaylist(Action, frozen=True):
    """Remove every item that a user added (`by = "user"`) or whose title matches (`by = "title"`); a pattern."""

    name = "playlist.clean"
    summary = "remove many items from the playlist"
    pattern: str
    by: Literal["user", "title"] = "user"


class ListSaved(Action, frozen=True):
    """Ask which playlists the bot's account has saved."""

    name = "playlist.list_saved"
    summary = "list saved playlists"


class SavePlaylist(Action, frozen=True):
    """Save the current list in the bot's account."""

    name = "playlist.save"
    summary = "save the playlist"
    title: str


class DeleteSaved(Action, frozen=True):
    """Delete a saved list of the bot's account."""

    name = "playlist.delete_saved"
    summary = "delete saved playlists"
    title: str


class QueueSaved(Action, frozen=True):
    """Put a saved list into the playlist."""

    name = "playlist.queue_saved"
    summary = "add saved playlists"
    title: str
    position: Literal["end", "next"] = "end"
    temp: bool = True


class OpenPoll(Action, frozen=True):
    """Open a poll; an open one is closed first. `timeout` is seconds, up to a day."""

    name = "poll.open"
    summary = "open polls"
    title: str
    options: tuple[str, ...]
    hidden: bool = False
    timeout: int | None = None
    keep_votes: bool = False


class Vote(Action, frozen=True):
    """Vote in the open poll: options count from 0. CyTube counts one vote for each address."""

    name = "poll.vote"
    summary = "vote in polls"
    option: int


class ClosePoll(Action, frozen=True):
    """Close the open poll."""

    name = "poll.close"
    summary = "close polls"


class VoteSkipNow(Action, frozen=True):
    """Vote to skip what plays."""

    name = "vote.skip"
    summary = "vote to skip"


class SetOptions(Action, frozen=True):
    """Change some of the room's options, under CyTube's names."""

    name = "channel.set_options"
    summary = "change the room's options"
    options: dict[str, Any]


class SetPermissions(Action, frozen=True):
    """Change some of the room's permission nodes."""

    name = "channel.set_permissions"
    summary = "change the room's permissions"
    nodes: dict[str, float]


class SetMotd(Action, frozen=True):
    """Set the message of the day (HTML, up to 20,000 characters)."""

    name = "channel.set_motd"
    summary = "set the message of the day"
    html: str


class SetCss(Action, frozen=True):
    """Set the room's CSS (up to 20,000 characters)."""

    name = "channel.set_css"
    summary = "set the room's CSS"
    css: str


class SetJs(Action, frozen=True):
    """Set the room's JavaScript (up to 20,000 characters)."""

    name = "channel.set_js"
    summary = "set the room's JavaScript"
    js: str


class Drink(Action, frozen=True):
    """Raise the room's drink counter, with a line of text."""

    name = "channel.drink"
    summary = "raise the drink counter"
    text: str = ""
    count: int = 1


class RequestRanks(Action, frozen=True):
    """Ask who has a rank in this room."""

    name = "channel.request_ranks"
    summary = "read the list of ranks"


class RequestBans(Action, frozen=True):
    """Ask for the ban list."""

    name = "channel.request_bans"
    summary = "read the ban list"


class RequestFilters(Action, frozen=True):
    """Ask for the chat filters."""

    name = "channel.request_filters"
    summary = "read the chat filters"


class RequestLog(Action, frozen=True):
    """Ask for the room's log, without addresses."""

    name = "channel.request_log"
    summary = "read the room's log"


class SetEmote(Action, frozen=True):
    """Add an emote or change its picture."""

    name = "emote.set"
    summary = "add and change emotes"
    emote: str
    image: str


class RenameEmote(Action, frozen=True):
    """Rename an emote."""

    name = "emote.rename"
    summary = "rename emotes"
    old: str
    emote: str
    image: str


class RemoveEmote(Action, frozen=True):
    """Remove an emote."""

    name = "emote.remove"
    summary = "remove emotes"
    emote: str


class MoveEmote(Action, frozen=True):
    """Move an emote in the list, by positions from 0."""

    name = "emote.move"
    summary = "reorder emotes"
    position: int
    to: int


class ImportEmotes(Action, frozen=True):
    """Replace or add many emotes at once."""

    name = "emote.import"
    summary = "import emotes"
    emotes: tuple[dict[str, str], ...]


class AddFilter(Action, frozen=True):
    """Add a chat filter."""

    name = "filter.add"
    summary = "add chat filters"
    filter: str
    source: str
    replace: str
    flags: str = "g"
    active: bool = True
    filter_links: bool = False


class UpdateFilter(AddFilter, frozen=True):
    """Change a chat filter."""

    name = "filter.update"
    summary = "change chat filters"


class RemoveFilter(Action, frozen=True):
    """Remove a chat filter."""

    name = "filter.remove"
    summary = "remove chat filters"
    filter: str


class MoveFilter(Action, frozen=True):
    """Move a chat filter in the list, by positions from 0."""

    name = "filter.move"
    summary = "reorder chat filters"
    position: int
    to: int


class ImportFilters(Action, frozen=True):
    """Replace all chat filters."""

    name = "filter.import"
    summary = "import chat filters"
    filters: tuple[dict[str, Any], ...]


def _leaves(cls: type[Action]) -> list[type[Action]]:
    found = []
    for sub in cls.__subclasses__():
        found += [sub, *_leaves(sub)]
    return found


ACTIONS: dict[str, type[Action]] = {}
"""Every action by name."""

for _action in _leaves(Action):
    _action.grant = _action.__dict__.get("grant") or _action.name
    ACTIONS[_action.name] = _action

ACTION_FAMILIES = frozenset(name.partition(".")[0] for name in ACTIONS)
"""The first words of actions. No channel may be named so, because subjects would be ambiguous."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an action.

    `done`: CyTube confirmed it. `refused`: CyTube, or our own check of its rules, said no; `reason` says why.
    `dropped`: it never left, and `reason` says why. `unknown`: it left, and CyTube does not say.
    `stale`: what caused it was too old.
    """

    state: Literal["done", "refused", "dropped", "unknown", "stale"]
    reason: str = ""
    result: Any = None


def parse_action(name: str, payload: bytes | dict[str, Any]) -> Action:
    """The action `name` with fields from JSON.

    Raises `KeyError` for an unknown name, and `msgspec.ValidationError` or `msgspec.DecodeError` for bad fields.
    """
    kind = ACTIONS[name]
    if isinstance(payload, bytes):
        return msgspec.json.decode(payload or b"{}", type=kind)
    return msgspec.convert(payload, kind)
