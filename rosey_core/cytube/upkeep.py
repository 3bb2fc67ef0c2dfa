"""The rules for a room's settings: options, permissions, style, emotes, chat filters, and its lists.

Each row is as seen on a running CyTube 3.86, or read in its source. Several of these throw out who lacks the
right, so the right is looked at again just before they leave.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any, TypeVar

from rosey_core import actions as do
from rosey_core import events as ev
from rosey_core.actions import Outcome
from rosey_core.cytube.lines import sound, units
from rosey_core.cytube.rule import A, Room, Rule, done, never, one, plain

MAX_CODE = 20_000
"""UTF-16 units that CyTube keeps of CSS, JavaScript and the message of the day."""

ADMIN_OPTIONS = frozenset(
    {
        "allow_ascii_control",
        "block_anonymous_users",
        "externalcss",
        "externaljs",
        "pagetitle",
        "password",
        "playlist_max_per_user",
        "show_public",
        "torbanned",
    }
)
"""Options that CyTube skips silently below rank 3 (sync `src/channel/opts.js`)."""

D = TypeVar("D", bound=ev.Data)


def _asked(
    action: type[A], name: str, answer: type[D], result: Callable[[D], Any], needs: tuple[str, ...], rank: float
) -> Rule[A]:
    """The rule of a question that CyTube answers with one event."""
    return Rule(
        action=action,
        frames=lambda _: one(name),
        confirm=lambda _, __, data: Outcome("done", result=result(data)) if isinstance(data, answer) else None,
        needs=needs,
        rank=rank,
        kind="channel",
        timeout=5,
    )


def _too_long(code: str) -> str:
    return f"CyTube keeps {MAX_CODE} characters of it, and it has {units(code)}" if units(code) > MAX_CODE else ""


def _hash(code: str) -> str:
    """How CyTube names code: so it is known whether it took ours."""
    digest = hashlib.md5(sound(code).encode(), usedforsecurity=False).digest()
    return b64encode(digest).decode()


def _options(action: do.SetOptions, me: str, data: ev.Data) -> Outcome | None:  # noqa: ARG001  the form
    """CyTube tells what it did not take first, then all options."""
    if isinstance(data, ev.ErrorMessage) and data.kind == "validationError":
        return Outcome("refused", data.text)
    return done(isinstance(data, ev.ChannelOptions))


def _log(action: do.RequestLog, me: str, data: ev.Data) -> Outcome | None:  # noqa: ARG001  the form
    if not isinstance(data, ev.ChannelLog):
        return None
    if not data.ok:
        return Outcome("refused", data.text or "CyTube can't read the room's log")
    return Outcome("done", result={"text": data.text})


def _skipped_options(action: do.SetOptions, room: Room) -> str:
    names = sorted(ADMIN_OPTIONS & action.options.keys())
    return f"CyTube lets rank 3 and above set {', '.join(names)}" if names and room.my_rank < 3 else ""


def _permissions(action: do.SetPermissions, me: str, data: ev.Data) -> Outcome | None:  # noqa: ARG001  the form
    if not isinstance(data, ev.ChannelPermissions):
        return None
    if unknown := sorted(action.nodes.keys() - data.nodes.keys()):
        return Outcome("refused", f"this room has no permission {', '.join(unknown)}")
    return done(all(data.nodes[node] == rank for node, rank in action.nodes.items()))


def _bad_emote(name: str, image: str) -> str:
    if not name or not image:
        return "an emote needs a name and an image"
    return "" if units(image) <= 1000 else "CyTube keeps 1000 characters of an emote's image address"


def _emote(data: ev.Data, change: str, name: str, old: str = "") -> Outcome | None:
    return done(
        isinstance(data, ev.ChannelEmoteChanged) and (data.change, data.emote.name, data.old) == (change, name, old)
    )


def _filter(data: ev.Data, change: str, name: str) -> Outcome | None:
    return done(
        isinstance(data, ev.ChannelFilterChanged)
        and data.change == change
        and data.filter is not None
        and data.filter.name == name
    )


def _filter_payload(action: do.AddFilter) -> dict[str, Any]:
    return {
        "name": action.filter,
        "source": action.source,
        "flags": action.flags,
        "replace": action.replace,
        "active": action.active,
        "filterlinks": action.filter_links,
    }


def _added(data: ev.Data) -> Outcome | None:
    return done(isinstance(data, ev.ChannelFilterChanged) and data.change == "added")


_BAD_FILTER = "^Filter |^Invalid regex"
_BAD_EMOTE = "^Emote |^Unable to (?:rename|update) emote"

UPKEEP: tuple[Rule[Any], ...] = (
    Rule(
        action=do.SetOptions,
        frames=lambda a: one("setOptions", a.options),
        confirm=_options,
        rank=2,
        kicks=True,
        invalid=lambda a: "" if a.options else "there are no options to set",
        unfit=_skipped_options,
        kind="channel",
        errors="^Expected number for |^That pagetitle is reserved",
    ),
    Rule(
        action=do.SetPermissions,
        frames=lambda a: one("setPermissions", a.nodes),
        confirm=_permissions,
        rank=3,
        kicks=True,
        invalid=lambda a: "" if a.nodes else "there are no permissions to set",
        kind="channel",
    ),
    Rule(
        action=do.SetMotd,
        frames=lambda a: one("setMotd", {"motd": a.html}),
        confirm=lambda _, __, data: done(isinstance(data, ev.ChannelMotd)),
        needs=("motdedit",),
        kicks=True,
        invalid=lambda a: _too_long(a.html),
        kind="channel",
    ),
    Rule(
        action=do.SetCss,
        frames=lambda a: one("setChannelCSS", {"css": a.css}),
        confirm=lambda a, _, data: done(isinstance(data, ev.ChannelStyle) and data.css_hash == _hash(a.css)),
        rank=3,
        kicks=True,
        invalid=lambda a: _too_long(a.css),
        kind="channel",
    ),
    Rule(
        action=do.SetJs,
        frames=lambda a: one("setChannelJS", {"js": a.js}),
        confirm=lambda a, _, data: done(isinstance(data, ev.ChannelStyle) and data.js_hash == _hash(a.js)),
        rank=3,
        kicks=True,
        invalid=lambda a: _too_long(a.js),
        kind="channel",
    ),
    _asked(
        do.RequestRanks,
        "requestChannelRanks",
        ev.ChannelRanks,
        lambda data: {"ranks": plain(data.ranks)},
        (),
        3,
    ),
    _asked(
        do.RequestBans,
        "requestBanlist",
        ev.ChannelBans,
        lambda data: {"bans": plain(data.bans)},
        ("ban",),
        0,
    ),
    _asked(
        do.RequestFilters,
        "requestChatFilters",
        ev.ChannelFilters,
        lambda data: {"filters": plain(data.filters)},
        ("filteredit",),
        0,
    ),
    Rule(
        action=do.RequestLog,
        frames=lambda _: one("readChanLog"),
        confirm=_log,
        rank=3,
        kicks=True,
        kind="channel",
        timeout=5,
    ),
    Rule(
        action=do.SetEmote,
        frames=lambda a: one("updateEmote", {"name": a.emote, "image": a.image}),
        confirm=lambda a, _, data: _emote(data, "updated", a.emote),
        needs=("emoteedit",),
        invalid=lambda a: _bad_emote(a.emote, a.image),
        kind="emote",
        errors=_BAD_EMOTE,
    ),
    Rule(
        action=do.RenameEmote,
        frames=lambda a: one("renameEmote", {"old": a.old, "name": a.emote, "image": a.image}),
        confirm=lambda a, _, data: _emote(data, "renamed", a.emote, a.old),
        needs=("emoteedit",),
        invalid=lambda a: _bad_emote(a.emote, a.image),
        kind="emote",
        errors=_BAD_EMOTE,
    ),
    Rule(
        action=do.RemoveEmote,
        frames=lambda a: one("removeEmote", {"name": a.emote}),
        confirm=lambda a, _, data: _emote(data, "removed", a.emote),
        needs=("emoteedit",),
        kind="emote",
    ),
    Rule(
        action=do.MoveEmote,
        frames=lambda a: one("moveEmote", {"from": a.position, "to": a.to}),
        confirm=never,
        needs=("emoteedit",),
        kind="emote",
        silent=True,
    ),
    Rule(
        action=do.ImportEmotes,
        frames=lambda a: one("importEmotes", list(a.emotes)),
        confirm=lambda _, __, data: done(isinstance(data, ev.ChannelEmotes)),
        needs=("emoteimport",),
        kind="emote",
    ),
    Rule(
        action=do.AddFilter,
        frames=lambda a: one("addFilter", _filter_payload(a)),
        confirm=lambda a, _, data: _added(data) or _filter(data, "updated", a.filter),
        needs=("filteredit",),
        kind="filter",
        errors=_BAD_FILTER,
    ),
    Rule(
        action=do.UpdateFilter,
        frames=lambda a: one("updateFilter", _filter_payload(a)),
        confirm=lambda a, _, data: _filter(data, "updated", a.filter),
        needs=("filteredit",),
        kind="filter",
        errors=_BAD_FILTER,
    ),
    Rule(
        action=do.RemoveFilter,
        frames=lambda a: one("removeFilter", {"name": a.filter}),
        confirm=lambda a, _, data: _filter(data, "removed", a.filter),
        needs=("filteredit",),
        kind="filter",
        errors=_BAD_FILTER,
    ),
    Rule(
        action=do.MoveFilter,
        frames=lambda a: one("moveFilter", {"from": a.position, "to": a.to}),
        confirm=never,
        needs=("filteredit",),
        kind="filter",
        silent=True,
        errors=_BAD_FILTER,
    ),
    Rule(
        action=do.ImportFilters,
        frames=lambda a: one("importFilters", list(a.filters)),
        confirm=lambda _, __, data: done(isinstance(data, ev.ChannelFilters)),
        needs=("filterimport",),
        kind="filter",
        errors=_BAD_FILTER,
    ),
)
