"""CyTube's payload Structs made into rosey's event Structs, where nothing needs to be remembered.

This module owns the meaning of single fields: what stands for a missing one, what is HTML, what is dropped.
What needs memory (who the bot is, what plays, what is history, where users come from) is in `translate`.
"""

from __future__ import annotations

from typing import Any

from rosey_core import events, media
from rosey_core.cytube import protocol
from rosey_core.cytube.addresses import without_addresses
from rosey_core.cytube.text import decode, decode_until_stable, page, read


def seconds(value: float | str | None) -> float:
    """A length: seconds, or `MM:SS`, `HH:MM:SS`; 0 for anything else, such as the `--:--` of live media."""
    if not isinstance(value, str):
        return value or 0.0
    total = 0.0
    for part in value.split(":"):
        if not (part.isascii() and part.isdigit() and len(part) <= 9):
            return 0.0
        total = total * 60 + int(part)
    return total


def place(after: float | str) -> int | str:
    """Where in the list: a uid, `prepend` or `append`."""
    return after if isinstance(after, str) else int(after)


def words(value: Any) -> str:
    """The text of an error that may be whatever the database threw; of an object only its message is told."""
    if isinstance(value, dict):
        value = value.get("message")
    return without_addresses(value) if isinstance(value, str) else ""


def bounded(value: Any, depth: int = 8) -> Any:
    """JSON without what is nested too deep for every reader to take."""
    if isinstance(value, list):
        return [bounded(one, depth - 1) for one in value] if depth else None
    if isinstance(value, dict):
        return {key: bounded(one, depth - 1) for key, one in value.items()} if depth else None
    return value


def user_fields(entry: protocol.UserEntry) -> tuple[str, float, bool, bool, bool, str, str]:
    """What `User` and `UserJoined` hold, in order: no address, no alias."""
    meta, profile = entry.meta, entry.profile
    return (
        entry.name,
        entry.rank or 0.0,
        meta.afk if meta else False,
        meta.muted if meta else False,
        bool(meta.smuted) if meta else False,
        (profile.image or "") if profile else "",
        (profile.text or "") if profile else "",
    )


def profile(payload: protocol.SetUserProfile) -> events.UserProfileUpdated:
    """`setUserProfile`."""
    new = payload.profile or protocol.Profile()
    return events.UserProfileUpdated(payload.name, new.image or "", new.text or "")


def user_meta(payload: protocol.SetUserMeta) -> events.UserMetaChanged:
    """`setUserMeta`: no address, no alias."""
    meta = payload.meta
    return events.UserMetaChanged(payload.name, meta.afk, meta.muted, meta.smuted)


def medium(entry: protocol.MediaEntry) -> events.Media:
    """Something to watch, with its link. CyTube does not escape titles."""
    link = media.build(entry.type, entry.id)
    return events.Media(entry.id, entry.type, entry.title or "", seconds(entry.seconds), link)


def item(entry: protocol.PlaylistItem) -> events.Item:
    """One place in the playlist."""
    return events.Item(int(entry.uid), medium(entry.media), bool(entry.temp), entry.queueby or "")


def summary(payload: protocol.PlaylistMeta) -> events.PlaylistSummary:
    """`setPlaylistMeta`; where the number of seconds is missing, its text is read."""
    total = payload.raw_time if payload.raw_time is not None else seconds(payload.time)
    return events.PlaylistSummary(int(payload.count), total)


def saved(entry: protocol.SavedList) -> events.SavedPlaylist:
    """One of the playlists of the bot's account."""
    return events.SavedPlaylist(entry.name, int(entry.count or 0), seconds(entry.duration))


def poll(struct: type[events.PollOpened], payload: protocol.Poll) -> events.PollOpened:
    """`newPoll`, `updatePoll`: title and options are HTML, hidden counts stay strings."""
    return struct(
        read(payload.title)[0],
        tuple(read(option)[0] for option in payload.options),
        tuple(place(count) for count in payload.counts),
        payload.initiator or "",
        int(payload.timestamp or 0),
    )


def motd(payload: str | protocol.Motd | None) -> events.ChannelMotd:
    """`setMotd`."""
    html = payload.motd if isinstance(payload, protocol.Motd) else payload or ""
    return events.ChannelMotd(html, page(html))


def style(payload: protocol.CssJs) -> events.ChannelStyle:
    """`channelCSSJS`: hashes and lengths only, the code itself may be 20,000 characters of each."""
    css, js = payload.css or "", payload.js or ""
    return events.ChannelStyle(payload.css_hash or "", payload.js_hash or "", len(css), len(js))


def emote(entry: protocol.EmoteEntry) -> events.Emote:
    """An emote, with the address of its image as it was typed."""
    return events.Emote(entry.name, decode_until_stable(entry.image or ""), entry.source or "")


def chat_filter(entry: protocol.FilterEntry) -> events.Filter:
    """A chat filter."""
    return events.Filter(
        entry.name,
        entry.source or "",
        entry.flags or "",
        entry.replace or "",
        active=entry.active is not False,
        filter_links=bool(entry.filterlinks),
    )


def announcement(payload: protocol.Announcement) -> events.ChannelAnnouncement:
    """`announcement`: its text is HTML, its title is not."""
    html = payload.text or ""
    return events.ChannelAnnouncement(payload.title or "", html, page(html), payload.from_ or "")


def ban(entry: protocol.BanEntry) -> events.Ban:
    """A row of the ban list, which says that there is an address, but not which."""
    return events.Ban(
        int(entry.id),
        without_addresses(entry.name or ""),
        without_addresses(entry.reason or ""),
        entry.bannedby or "",
        by_address=bool(entry.ip) and entry.ip != "*",
    )


def queue_failed(payload: protocol.QueueFail) -> events.MediaQueueFailed:
    """`queueFail`: its reason is escaped where a lookup failed, else it holds no `&`."""
    return events.MediaQueueFailed(decode(payload.msg or ""), payload.link or "", payload.id or "")


def queue_warned(payload: protocol.QueueFail) -> events.MediaQueueWarned:
    """`queueWarn`."""
    return events.MediaQueueWarned(decode(payload.msg or ""), payload.link or "")


def ban_removed(payload: protocol.BanRemove) -> events.ChannelBanRemoved:
    """`banlistRemove`."""
    return events.ChannelBanRemoved(int(payload.id), without_addresses(payload.name or ""))


def moved(payload: protocol.PartitionChange | None) -> events.ConnectionMoved:
    """`partitionChange`: the addresses of the servers, as the server lists them."""
    return events.ConnectionMoved(
        tuple(server.url for server in (payload.servers or ()) if server.url) if payload else ()
    )


def error(kind: str, payload: protocol.ErrorMsg) -> events.ErrorMessage:
    """`errorMsg` and its like. `/ipban` answers with addresses: `LVe.xZQ.D0l.SSb is already banned`."""
    code = payload.code if isinstance(payload.code, str) else ""
    return events.ErrorMessage(words(payload.msg), kind, code, alert=bool(payload.alert))


def validation_error(payload: protocol.Validation) -> events.ErrorMessage:
    """`validationError`: a setting that CyTube refused."""
    return events.ErrorMessage(payload.message or "", "validationError", target=payload.target)


def flood(payload: protocol.NoFlood) -> events.ChatRefused:
    """`noflood`: despite its name, a muted bot spoke or used a command wrongly."""
    return events.ChatRefused("muted" if payload.action == "chat" else "syntax", payload.msg)


def spam(payload: protocol.SpamFiltered) -> events.ChatRefused:
    """`spamFiltered`: CyTube takes the bot's account for too new."""
    return events.ChatRefused(
        "new_user_link" if payload.reason == "NEW_USER_CHAT_LINK" else "new_user", payload.reason
    )
