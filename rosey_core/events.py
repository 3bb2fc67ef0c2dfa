"""What happened: one Struct for each event type, and the table that names them.

One vocabulary: the event type `user.joined` is the Struct `UserJoined`, the hook `on_user_joined` and the
subject `rosey.platform.{channel}.user.joined`. Times are UTC seconds unless a name says `ms`; media times are
seconds into the item. Ranks are numbers with fractions (1.5 is a leader). No event holds the channel
password, an address or an alias: those stay in `cytube.translate`.

This module owns the shapes, and is long because they are many. It does not know the envelope around them
(`envelope`), how CyTube spells them (`cytube.protocol`), nor what they do to the channel (`channel`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, dataclass_transform

import msgspec

PAGE = 500
"""How many users or items a page of `user.list` or `playlist.loaded` holds."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Data(msgspec.Struct, frozen=True, gc=False):
    """The base of all event data. `gc=False` is sound: events are trees of plain values, never cycles."""


# --- things that several events hold -----------------------------------------------------------------------


class User(Data):
    """Somebody in the room. `shadow_muted` is known only while the bot's rank is 2 or more."""

    name: str
    rank: float = 0
    afk: bool = False
    muted: bool = False
    shadow_muted: bool = False
    image: str = ""
    text: str = ""


class Media(Data):
    """One thing to watch. `seconds` is 0 for live media; `link` is its address, empty where none is known."""

    id: str
    type: str
    title: str = ""
    seconds: float = 0
    link: str = ""


class Item(Data):
    """One place in the playlist. `uid` is CyTube's number for it; all of them change on a shuffle."""

    uid: int
    media: Media
    temp: bool = False
    queued_by: str = ""


class Emote(Data):
    """A word that CyTube shows as a picture. `source` is CyTube's JavaScript pattern for it."""

    name: str
    image: str = ""
    source: str = ""


class Filter(Data):
    """One of the room's chat filters: `source` is PCRE."""

    name: str
    source: str = ""
    flags: str = ""
    replace: str = ""
    active: bool = True
    filter_links: bool = False


class SavedPlaylist(Data):
    """A playlist that the bot's account has saved. `seconds` is its length."""

    name: str
    count: int = 0
    seconds: float = 0


class Ban(Data):
    """One row of the ban list; `by_address` says that it holds an address, which is not told."""

    id: int
    name: str
    reason: str = ""
    banned_by: str = ""
    by_address: bool = False


class ChannelRank(Data):
    """One row of the room's list of ranks."""

    name: str
    rank: float


# --- chat --------------------------------------------------------------------------------------------------


class ChatMessage(Data):
    """A line of chat.

    `text` is plain, `html` is as received. `kind` is `say`, `action` (/me), `greentext`, `spoiler`, `shout`,
    `drink` or `server`. `links` are the addresses in it, `emotes` the room's emote names in it, each in order.
    """

    username: str
    text: str
    html: str = ""
    time_ms: int = 0
    kind: str = "say"
    links: tuple[str, ...] = ()
    emotes: tuple[str, ...] = ()


class ChatPm(Data):
    """A private message. The bot's own come back as well, with `metadata.own`."""

    username: str
    to: str
    text: str
    html: str = ""
    time_ms: int = 0
    kind: str = "say"
    links: tuple[str, ...] = ()
    emotes: tuple[str, ...] = ()


class ChatCleared(Data):
    """Somebody cleared everybody's chat window."""

    cleared_by: str


class ChatRefused(Data):
    """CyTube dropped something that the bot said.

    `reason` is `cooldown` (then `wait_ms` is CyTube's hint; it does not say which line), `muted`,
    `new_user`, `new_user_link` or `syntax`; `text` is CyTube's sentence where it gave one.
    """

    reason: str
    text: str = ""
    wait_ms: float = 0


# --- users -------------------------------------------------------------------------------------------------


class UserList(Data):
    """A page of everybody in the room (500 to a page, pages from 1). Page 1 replaces the list before it."""

    users: tuple[User, ...]
    page: int = 1
    pages: int = 1


class UserJoined(User):
    """Somebody logged in; may repeat for a name that is known already."""


class UserLeft(Data):
    """Somebody who was logged in left, or was kicked."""

    name: str


class UserRankChanged(Data):
    """A rank changed. It may name somebody who is not in the room, in any capitals."""

    name: str
    rank: float


class UserProfileUpdated(Data):
    """Somebody changed picture or text on the web site."""

    name: str
    image: str = ""
    text: str = ""


class UserMetaChanged(Data):
    """Somebody went away or came back, or was muted or unmuted. `None` means: not told, unchanged."""

    name: str
    afk: bool = False
    muted: bool = False
    shadow_muted: bool | None = None


class UserLeaderChanged(Data):
    """`name` leads playback from now on; empty means that the server does."""

    name: str = ""


# --- media and playlist ------------------------------------------------------------------------------------


class MediaQueued(Data):
    """An item came into the list. `after` is a uid, or `prepend`."""

    item: Item
    after: int | str


class MediaDeleted(Data):
    """An item left the list."""

    uid: int


class MediaMoved(Data):
    """An item moved. `after` is a uid, `prepend` or `append`."""

    uid: int
    after: int | str


class MediaTempChanged(Data):
    """An item became temporary or permanent."""

    uid: int
    temp: bool


class MediaPlayed(Data):
    """Something else plays. `time` may be negative: CyTube leads in with three seconds.

    `uid` and `queued_by` are of the playlist item, where the bot may see the list.
    """

    media: Media
    time: float = 0
    paused: bool = False
    uid: int | None = None
    queued_by: str = ""


class MediaSynced(Data):
    """Where playback stands: at the end of the lead-in, then every five seconds."""

    time: float
    paused: bool = False


class MediaPaused(Data):
    """Playback stopped at `time`."""

    time: float


class MediaResumed(Data):
    """Playback goes on from `time`."""

    time: float


class MediaQueueFailed(Data):
    """CyTube refused an item that the bot queued. `link` and `id` may be empty."""

    reason: str
    link: str = ""
    id: str = ""


class MediaQueueWarned(Data):
    """An item was taken, with a warning (blocked in some countries, for example)."""

    reason: str
    link: str = ""


class MediaFound(Data):
    """The answer to a search. `source` is `library` or `yt`."""

    source: str
    results: tuple[Media, ...]


class PlaylistLoaded(Data):
    """A page of the whole list (500 to a page, pages from 1). Page 1 replaces the list before it."""

    items: tuple[Item, ...]
    page: int = 1
    pages: int = 1


class PlaylistLocked(Data):
    """Whether the list is locked: open lists have easier permissions."""

    locked: bool


class PlaylistSummary(Data):
    """How many items the list has, and how long they are together."""

    count: int
    seconds: float = 0


class PlaylistCurrent(Data):
    """Which item is the current one, as a uid."""

    uid: int


class PlaylistSaved(Data):
    """The playlists that the bot's account has saved."""

    playlists: tuple[SavedPlaylist, ...]


# --- polls and votes ---------------------------------------------------------------------------------------


class PollOpened(Data):
    """A poll is open. A rejoin tells it again.

    `counts` are numbers, or strings such as `?` and `3?` while they are hidden.
    """

    title: str
    options: tuple[str, ...]
    counts: tuple[int | str, ...]
    initiator: str = ""
    timestamp_ms: int = 0


class PollUpdated(PollOpened):
    """The poll's counts changed."""


class PollClosed(Data):
    """The poll is over."""


class VoteSkip(Data):
    """How many voted to skip the current item, and how many are needed."""

    count: int
    need: int


class VoteSkipCleared(Data):
    """The bot's own vote was taken back, because it went away."""


# --- the room ----------------------------------------------------------------------------------------------


class ChannelOptions(Data):
    """The room's options, under CyTube's names, without its password."""

    options: dict[str, Any]


class ChannelPermissions(Data):
    """The least rank for each of CyTube's permission nodes. A node that is missing is passed by nobody."""

    nodes: dict[str, float]


class ChannelMotd(Data):
    """The message of the day: `html` as received, `text` plain."""

    html: str
    text: str = ""


class ChannelStyle(Data):
    """The room's own CSS and JavaScript, as CyTube's hashes of them and their length in characters."""

    css_hash: str
    js_hash: str
    css_length: int = 0
    js_length: int = 0


class ChannelEmotes(Data):
    """All the room's emotes."""

    emotes: tuple[Emote, ...]


class ChannelEmoteChanged(Data):
    """One emote changed. `change` is `updated`, `renamed` (then `old` is the name before) or `removed`."""

    change: str
    emote: Emote
    old: str = ""


class ChannelFilters(Data):
    """All the room's chat filters; told only on request."""

    filters: tuple[Filter, ...]


class ChannelFilterChanged(Data):
    """One chat filter changed. `change` is `updated`, `removed`, or `added` (then no filter is told)."""

    change: str
    filter: Filter | None = None


class ChannelAnnouncement(Data):
    """The server's administrators announce something: `html` as received, `text` plain."""

    title: str
    html: str
    text: str = ""
    by: str = ""


class ChannelDrinks(Data):
    """The room's drink counter."""

    count: int


class ChannelBans(Data):
    """The ban list; told only on request."""

    bans: tuple[Ban, ...]


class ChannelBanRemoved(Data):
    """A row left the ban list."""

    id: int
    name: str = ""


class ChannelRanks(Data):
    """Everybody who has a rank in this room; told only on request."""

    ranks: tuple[ChannelRank, ...]


class ChannelLog(Data):
    """The room's log, told only on request; addresses in it are replaced by `[address]`."""

    ok: bool
    text: str = ""


class ChannelValidated(Data):
    """CyTube took a value that the bot set for `target`, an element of its settings page."""

    target: str


class ChannelUnregistered(Data):
    """The room belongs to nobody, so CyTube saves nothing of it."""


class ChannelTooLarge(Data):
    """The room's state is too big: CyTube no longer saves it. Sizes are bytes."""

    limit: int
    actual: int


# --- numbers -----------------------------------------------------------------------------------------------


class StatsUsercount(Data):
    """How many are connected, and how many of them are logged in."""

    connected: int
    users: int = 0


class StatsHighWater(Data):
    """More people than ever before in this run of the daemon."""

    connected: int
    users: int


class StatsStatus(Data):
    """The bot's own state, told once a minute. Times are seconds."""

    uptime: float
    joined: bool
    events: int
    dropped: int = 0


# --- the connection ----------------------------------------------------------------------------------------


class ConnectionLogin(Data):
    """CyTube's answer to the login. `error` is its text when `ok` is false."""

    ok: bool
    name: str = ""
    guest: bool = False
    error: str = ""


class ConnectionRank(Data):
    """The bot's own rank."""

    rank: float


class ConnectionPassword(Data):
    """The room's password: `state` is `needed`, `wrong` or `accepted`."""

    state: str


class ConnectionJoined(Data):
    """The bot is in the room and its state is complete."""

    room: str
    name: str
    rank: float


class ConnectionLost(Data):
    """The connection ended; the next try is in `retry` seconds."""

    reason: str
    retry: float = 0


class ConnectionKicked(Data):
    """CyTube or a moderator threw the bot out. `final`: it will not come back by itself."""

    reason: str
    final: bool = False
    retry: float = 0


class ConnectionRefused(Data):
    """CyTube did not let the bot in. `final`: it will not try again by itself."""

    reason: str
    final: bool = False
    retry: float = 0


class ConnectionMoved(Data):
    """The room moves to another of the site's servers."""

    servers: tuple[str, ...] = ()


# --- rosey itself ------------------------------------------------------------------------------------------


class CoreGap(Data):
    """Events were dropped on the way to whoever reads this: how many, and the first and last `seq`.

    `where` names the way: `lane`, `nats`, or `log` for the event log. With `certain` false, up to `count` may be
    missing.
    """

    count: int
    first: int
    last: int
    where: str = "lane"
    certain: bool = True


class CoreTooBig(Data):
    """An event was too big for the bus, in bytes."""

    event_type: str
    size: int


class ErrorMessage(Data):
    """CyTube says that something the bot did was wrong.

    `kind` is the CyTube event it came in (`errorMsg`, `channelRankFail`, `validationError`, `costanza`).
    """

    text: str
    kind: str = "errorMsg"
    code: str = ""
    target: str = ""
    alert: bool = False


class Raw(Data):
    """A CyTube event that has no type here: its name and its arguments as they came."""

    name: str
    args: Any = None


EVENT_TYPES: dict[str, type[Data]] = {
    "chat.message": ChatMessage,
    "chat.pm": ChatPm,
    "chat.cleared": ChatCleared,
    "chat.refused": ChatRefused,
    "user.list": UserList,
    "user.joined": UserJoined,
    "user.left": UserLeft,
    "user.rank_changed": UserRankChanged,
    "user.profile_updated": UserProfileUpdated,
    "user.meta_changed": UserMetaChanged,
    "user.leader_changed": UserLeaderChanged,
    "media.queued": MediaQueued,
    "media.deleted": MediaDeleted,
    "media.moved": MediaMoved,
    "media.temp_changed": MediaTempChanged,
    "media.played": MediaPlayed,
    "media.synced": MediaSynced,
    "media.paused": MediaPaused,
    "media.resumed": MediaResumed,
    "media.queue_failed": MediaQueueFailed,
    "media.queue_warned": MediaQueueWarned,
    "media.found": MediaFound,
    "playlist.loaded": PlaylistLoaded,
    "playlist.locked": PlaylistLocked,
    "playlist.summary": PlaylistSummary,
    "playlist.current": PlaylistCurrent,
    "playlist.saved": PlaylistSaved,
    "poll.opened": PollOpened,
    "poll.updated": PollUpdated,
    "poll.closed": PollClosed,
    "vote.skip": VoteSkip,
    "vote.skip_cleared": VoteSkipCleared,
    "channel.options": ChannelOptions,
    "channel.permissions": ChannelPermissions,
    "channel.motd": ChannelMotd,
    "channel.style": ChannelStyle,
    "channel.emotes": ChannelEmotes,
    "channel.emote_changed": ChannelEmoteChanged,
    "channel.filters": ChannelFilters,
    "channel.filter_changed": ChannelFilterChanged,
    "channel.announcement": ChannelAnnouncement,
    "channel.drinks": ChannelDrinks,
    "channel.bans": ChannelBans,
    "channel.ban_removed": ChannelBanRemoved,
    "channel.ranks": ChannelRanks,
    "channel.log": ChannelLog,
    "channel.validated": ChannelValidated,
    "channel.unregistered": ChannelUnregistered,
    "channel.too_large": ChannelTooLarge,
    "stats.usercount": StatsUsercount,
    "stats.high_water": StatsHighWater,
    "stats.status": StatsStatus,
    "connection.login": ConnectionLogin,
    "connection.rank": ConnectionRank,
    "connection.password": ConnectionPassword,
    "connection.joined": ConnectionJoined,
    "connection.lost": ConnectionLost,
    "connection.kicked": ConnectionKicked,
    "connection.refused": ConnectionRefused,
    "connection.moved": ConnectionMoved,
    "core.gap": CoreGap,
    "core.too_big": CoreTooBig,
    "error.message": ErrorMessage,
}
"""Every event type and its Struct. `raw.*` stands outside: its names are CyTube's."""

TYPE_OF: dict[type[Data], str] = {struct: name for name, struct in EVENT_TYPES.items()}


D = TypeVar("D", bound=Data)


def paged(struct: Callable[[tuple[Any, ...], int, int], D], entries: Sequence[Any]) -> list[D]:
    """`UserList` or `PlaylistLoaded` in pages; at least one, also of nothing: it replaces what was there."""
    pages = [tuple(entries[start : start + PAGE]) for start in range(0, len(entries), PAGE)] or [()]
    return [struct(page, number, len(pages)) for number, page in enumerate(pages, 1)]


def event_type_of(data: Data) -> str:
    """The event type of `data`; of `Raw`, `raw.<name>` where the name is safe in a subject, else `raw.other`."""
    if isinstance(data, Raw):
        name = data.name
        return f"raw.{name}" if name.isascii() and name.isidentifier() and len(name) <= 40 else "raw.other"
    return TYPE_OF[type(data)]
