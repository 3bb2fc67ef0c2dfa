"""Channels as copies out of snapshots, and as recorded rooms make them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core import events as ev
from rosey_core.channel.channel import Channel, ChannelSnapshot
from rosey_core.cytube.translate import Translator
from rosey_core.cytube.wire import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

TRACES = Path(__file__).parent / "traces"

_name = st.sampled_from(["alice", "Alice", "bob", "Rosey", "ROSEY", "x"])
_rank = st.sampled_from([-1, 0, 1, 1.5, 2, 3.25, 255])
_text = st.text(st.characters(codec="utf-8"), max_size=3)
_uid = st.integers(0, 5)
_after = _uid | st.sampled_from(["prepend", "append"])
_time = st.floats(-3, 100)
_media = st.builds(ev.Media, _text, st.sampled_from(["yt", "fi"]), _text, st.floats(0, 100))
_item = st.builds(ev.Item, _uid, _media, st.booleans(), _name)
_user_fields = (_name, _rank, st.booleans(), st.booleans(), st.booleans(), _text, _text)
_counts = st.lists(st.integers(0, 9) | st.sampled_from(["?", "3?"]), max_size=3).map(tuple)
_poll_fields = (_text, st.just(("a", "b")), _counts, _name, st.integers(0, 9))
_emote = st.builds(ev.Emote, st.sampled_from(["a", "b", "c"]), _text, _text)
_filter = st.builds(ev.Filter, st.sampled_from(["a", "b"]), _text)
_number = st.integers(0, 9)
_json = st.dictionaries(_text, st.none() | st.booleans() | _number | _text | st.lists(_number), max_size=3)


def _many(one: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(one, max_size=4).map(tuple)


_nodes = st.dictionaries(st.sampled_from(["seeplaylist", "chat", "playlistadd", "oplaylistadd"]), _rank)
EVENTS: st.SearchStrategy[ev.Data] = st.one_of(
    st.sampled_from([ev.ConnectionLost("gone"), ev.ConnectionKicked(""), ev.ConnectionRefused("full")]),
    st.builds(ev.ConnectionJoined, _text, _name, _rank),
    st.builds(ev.ChannelUnregistered),
    st.builds(ev.UserList, _many(st.builds(ev.User, *_user_fields)), st.integers(1, 2)),
    st.builds(ev.UserJoined, *_user_fields),
    st.builds(ev.UserLeft, _name),
    st.builds(ev.UserRankChanged, _name, _rank),
    st.builds(ev.UserProfileUpdated, _name, _text, _text),
    st.builds(ev.UserMetaChanged, _name, st.booleans(), st.booleans(), st.none() | st.booleans()),
    st.builds(ev.UserLeaderChanged, _name),
    st.builds(ev.MediaQueued, _item, _after),
    st.builds(ev.MediaDeleted, _uid),
    st.builds(ev.MediaMoved, _uid, _after),
    st.builds(ev.MediaTempChanged, _uid, st.booleans()),
    st.builds(ev.MediaPlayed, _media, _time, st.booleans(), st.none() | _uid, _name),
    st.builds(ev.MediaSynced, _time, st.booleans()),
    st.builds(ev.MediaPaused, _time),
    st.builds(ev.MediaResumed, _time),
    st.builds(ev.PlaylistLoaded, _many(_item), st.integers(1, 2)),
    st.builds(ev.PlaylistLocked, st.booleans()),
    st.builds(ev.PlaylistSummary, _number, _time),
    st.builds(ev.PlaylistCurrent, _uid),
    st.builds(ev.PollOpened, *_poll_fields),
    st.builds(ev.PollUpdated, *_poll_fields),
    st.builds(ev.PollClosed),
    st.builds(ev.VoteSkip, _number, _number),
    st.builds(ev.ChannelOptions, _json),
    st.builds(ev.ChannelPermissions, _nodes),
    st.builds(ev.ChannelMotd, _text, _text),
    st.builds(ev.ChannelEmotes, _many(_emote)),
    st.builds(
        ev.ChannelEmoteChanged, st.sampled_from(["updated", "renamed", "removed"]), _emote, st.sampled_from("abc")
    ),
    st.builds(ev.ChannelFilters, _many(_filter)),
    st.builds(ev.ChannelFilterChanged, st.sampled_from(["updated", "added", "removed"]), st.none() | _filter),
    st.builds(ev.ChannelDrinks, _number),
    st.builds(ev.StatsUsercount, _number, _number),
    st.builds(ev.StatsHighWater, _number, _number),
    st.builds(ev.ConnectionLogin, st.booleans(), _name),
    st.builds(ev.ConnectionRank, _rank),
    st.builds(ev.ChatMessage, _name, _text),
)


@given(st.lists(EVENTS, max_size=30), st.lists(EVENTS, max_size=30))
def test_a_copy_out_of_a_snapshot_stays_equal(before: list[ev.Data], after: list[ev.Data]) -> None:
    """Taken at any point, through JSON, with the later events: the copy equals the original."""
    original = Channel()
    for event in before:
        original.apply(event)
    snapshot = original.snapshot()
    as_json = msgspec.json.encode(snapshot)
    copy = Channel.restore(msgspec.json.decode(as_json, type=ChannelSnapshot))
    twin = Channel.restore(snapshot)
    for event in after:
        for channel in (original, copy, twin):
            channel.apply(event)
    assert copy.snapshot() == twin.snapshot() == original.snapshot()
    assert msgspec.json.encode(snapshot) == as_json


# --- recorded rooms ----------------------------------------------------------------------------------------


class Line(msgspec.Struct):
    """One line of a trace."""

    dir: str
    frame: str


def replay(path: Path) -> tuple[Channel, list[tuple[list[Any], list[Any]]]]:
    """Play a trace into a channel. Also, for each later full list: what was known before it, and that list."""
    channel, translator = Channel(), Translator()
    compared: list[tuple[list[Any], list[Any]]] = []
    for line in map(msgspec.json.Decoder(Line).decode, path.read_bytes().splitlines()):
        if line.dir == "out" and '"joinChannel"' in line.frame:
            translator.joining()
        if line.dir == "in" and line.frame == "41":
            channel.apply(ev.ConnectionLost("41"))
        if line.dir != "in" or not line.frame.startswith("42["):
            continue
        name, *args = msgspec.json.decode(line.frame[2:], type=list[msgspec.Raw])
        event = Event(msgspec.json.decode(name, type=str), bytes(args[0]) if args else b"")
        for draft in translator.feed(event):
            if isinstance(draft.data, ev.UserList) and len(channel.users):
                compared.append((users(channel.users, channel.me), users(draft.data.users, channel.me)))
            if isinstance(draft.data, ev.PlaylistLoaded) and len(channel.playlist) and draft.data.items:
                compared.append((list(channel.playlist), list(draft.data.items)))
            channel.apply(draft.data)
    return channel, compared


def users(listed: Iterable[ev.User], me: str) -> list[ev.User]:
    """The users, the bot without its rank: a list has its new one before `rank` and `setUserRank` tell it."""
    return [msgspec.structs.replace(user, rank=0) if user.name == me else user for user in listed]


LOSES = ("08-playlist", "08-playlist.bob", "08d-settemp-badmove")
LOST = 1
"""In these traces CyTube lost this uid, moved behind an unknown one: no event tells of it."""


def without_uid(item: ev.Item) -> bytes:
    """All of an item but its uid."""
    return msgspec.json.encode(msgspec.structs.replace(item, uid=0))


@pytest.mark.parametrize("path", sorted(TRACES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_what_was_told_step_by_step_is_what_the_later_full_list_says(path: Path) -> None:
    """In each recorded room, the state before a full list equals that list, in order and in every field."""
    channel, compared = replay(path)
    for known, told in compared:
        if isinstance(known[0], ev.User):
            assert known == told
            continue
        known_items = [item for item in known if item.uid != LOST or path.stem not in LOSES or item in told]
        if {item.uid for item in known} & {item.uid for item in told}:
            assert known_items == told
        else:  # a shuffle: all uids are new, and the order is the server's dice
            assert sorted(map(without_uid, known_items)) == sorted(map(without_uid, told))
    assert not channel.me or channel.users.rank_of(channel.me) == channel.my_rank


def test_the_recorded_rooms_hold_full_lists_to_compare_with() -> None:
    """The test before this one compares many lists of both kinds."""
    lists = [known for path in TRACES.glob("*.jsonl") for known, _ in replay(path)[1]]
    assert sum(isinstance(known[0], ev.User) for known in lists) >= 20
    assert sum(len(known) for known in lists if isinstance(known[0], ev.Item)) >= 60


def test_a_recorded_playlist_ends_empty() -> None:
    """The owner cleared the list at the end of that trace: nothing plays."""
    channel, _ = replay(TRACES / "08-playlist.jsonl")
    assert (len(channel.playlist), channel.media, channel.me, channel.my_rank) == (0, None, "TestBot", 2)
    assert channel.permissions.nodes["playlistadd"] == 1.5


def test_a_recorded_kick_leaves_nothing() -> None:
    """After the kick nothing is known any more, except how many there were."""
    channel, _ = replay(TRACES / "10-kick.jsonl")
    assert (len(channel.users), channel.me, dict(channel.options)) == (0, "", {})
    assert channel.high_water.users > 0
