"""The playlist: order, current item, shuffles, and that a long one stays cheap."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.channel.playlist import Playlist
from rosey_core.events import (
    Data,
    Item,
    Media,
    MediaDeleted,
    MediaMoved,
    MediaPlayed,
    MediaQueued,
    MediaTempChanged,
    PlaylistCurrent,
    PlaylistLoaded,
)


def item(uid: int, **fields: Any) -> Item:
    """An item whose title says its uid."""
    return Item(uid, Media(f"id{uid}", "yt", f"title {uid}", 10), **fields)


def playlist_of(*uids: int, current: int | None = None) -> Playlist:
    """A list of these uids in this order."""
    return Playlist(map(item, uids), current)


def uids(playlist: Playlist) -> list[int]:
    """The order of the list."""
    return [entry.uid for entry in playlist]


@pytest.mark.parametrize(
    ("after", "expected"),
    ((3, [1, 2, 3, 9]), (1, [1, 9, 2, 3]), ("prepend", [9, 1, 2, 3]), ("append", [1, 2, 3, 9]), (77, [1, 2, 3, 9])),
)
def test_an_item_is_queued_behind_another(after: int | str, expected: list[int]) -> None:
    """Behind a uid, or at the start; behind an unknown uid it goes to the end and is not lost."""
    playlist = playlist_of(1, 2, 3)
    playlist.apply(MediaQueued(item(9), after))
    assert uids(playlist) == expected


def test_the_first_item_of_an_empty_list() -> None:
    """CyTube says `prepend` for it."""
    playlist = playlist_of()
    playlist.apply(MediaQueued(item(9), "prepend"))
    assert uids(playlist) == [9]


def test_a_uid_that_is_queued_again_is_there_once() -> None:
    """The newer item counts."""
    playlist = playlist_of(1, 2, 3)
    playlist.apply(MediaQueued(item(1, temp=True), 3))
    assert uids(playlist) == [2, 3, 1]
    assert playlist.get(1) == item(1, temp=True)


@pytest.mark.parametrize(
    ("uid", "after", "expected"),
    (
        (1, 3, [2, 3, 1]),
        (3, 1, [1, 3, 2]),
        (3, "prepend", [3, 1, 2]),
        (1, "append", [2, 3, 1]),
        (2, 2, [1, 2, 3]),
        (2, 77, [1, 2, 3]),
        (77, 1, [1, 2, 3]),
    ),
)
def test_an_item_moves(uid: int, after: int | str, expected: list[int]) -> None:
    """Behind a uid, to the start or the end; what names an unknown uid moves nothing."""
    playlist = playlist_of(1, 2, 3, current=2)
    playlist.apply(MediaMoved(uid, after))
    assert uids(playlist) == expected
    assert playlist.current == item(2)


def test_moving_the_current_item_keeps_it_current() -> None:
    """It plays on from its new place, and what follows is what stands there."""
    playlist = playlist_of(1, 2, 3, current=1)
    playlist.apply(MediaMoved(1, 2))
    assert playlist.current == item(1)
    assert playlist.after(playlist.current) == item(3)


def test_deleting() -> None:
    """The item goes; the current one too, until CyTube tells the next; unknown uids change nothing."""
    playlist = playlist_of(1, 2, 3, current=2)
    playlist.apply(MediaDeleted(77))
    playlist.apply(MediaDeleted(3))
    assert (uids(playlist), playlist.current) == ([1, 2], item(2))
    playlist.apply(MediaDeleted(2))
    assert (uids(playlist), playlist.current, playlist.current_uid) == ([1], None, None)
    playlist.apply(PlaylistCurrent(1))
    assert playlist.current == item(1)


def test_temporary_and_permanent() -> None:
    """The flag changes and nothing else; telling the same again is harmless."""
    playlist = playlist_of(1)
    playlist.apply(MediaTempChanged(1, temp=True))
    playlist.apply(MediaTempChanged(1, temp=True))
    playlist.apply(MediaTempChanged(77, temp=True))
    assert list(playlist) == [item(1, temp=True)]


def test_a_shuffle_changes_all_uids() -> None:
    """A fresh list replaces the old one, and then the current item is told anew."""
    playlist = playlist_of(1, 2, 3, current=2)
    playlist.apply(PlaylistLoaded((item(5), item(6)), page=1, pages=2))
    playlist.apply(PlaylistLoaded((item(4),), page=2, pages=2))
    assert (uids(playlist), playlist.current) == ([5, 6, 4], None)
    playlist.apply(PlaylistCurrent(5))
    assert playlist.current == item(5)
    assert 2 not in playlist


def test_clearing() -> None:
    """An empty list has no current item."""
    playlist = playlist_of(1, 2, current=2)
    playlist.apply(PlaylistLoaded(()))
    assert (uids(playlist), playlist.current_uid, len(playlist), playlist.seconds) == ([], None, 0, 0)


def test_the_current_item_may_be_told_before_the_list() -> None:
    """CyTube tells the uid to everybody, but the list only to those who may see it."""
    playlist = playlist_of()
    playlist.apply(PlaylistCurrent(2))
    assert (playlist.current, playlist.current_uid) == (None, 2)
    playlist.apply(PlaylistLoaded((item(1), item(2))))
    assert playlist.current == item(2)


def test_what_plays_may_name_its_item() -> None:
    """A `media.played` with a uid makes that item the current one; without, it says nothing of the list."""
    playlist = playlist_of(1, 2, current=1)
    playlist.apply(MediaPlayed(item(2).media, uid=2))
    playlist.apply(MediaPlayed(item(1).media))
    assert playlist.current == item(2)


def test_looking_up() -> None:
    """Items by uid, places from 0, what follows (the list loops), and the length in seconds."""
    playlist = playlist_of(7, 5, 6)
    assert (playlist.get(5), playlist.get(8)) == (item(5), None)
    assert [playlist.position(uid) for uid in (7, 5, 6, 8)] == [0, 1, 2, None]
    assert [playlist.after(uid) for uid in (7, item(5), 6, 8, None)] == [item(5), item(6), item(7), None, None]
    assert playlist.seconds == 30
    assert playlist_of(1).after(1) == item(1)


def test_a_walk_over_the_list_is_not_disturbed_by_changes() -> None:
    """A plugin may await in the middle of a loop while the list changes."""
    playlist = playlist_of(1, 2, 3)
    seen = []
    for entry in playlist:
        seen.append(entry.uid)
        playlist.apply(MediaDeleted(2))
    assert seen == [1, 2, 3]


UID = st.integers(0, 8)
AFTER = UID | st.sampled_from(["prepend", "append"])
CHANGES = st.one_of(
    st.builds(MediaQueued, UID.map(item), AFTER),
    st.builds(MediaMoved, UID, AFTER),
    st.builds(MediaDeleted, UID),
    st.builds(MediaTempChanged, UID, temp=st.booleans()),
    st.builds(PlaylistCurrent, UID),
    st.builds(PlaylistLoaded, st.lists(UID.map(item), max_size=4).map(tuple), st.integers(1, 2)),
)


def naive(order: list[int], change: Data) -> list[int]:
    """What a change does to the order, said as plainly as can be."""

    def put(order: list[int], uid: int, after: int | str) -> list[int]:
        place = 0 if after == "prepend" else order.index(after) + 1 if after in order else len(order)
        return [*order[:place], uid, *order[place:]]

    match change:
        case MediaQueued():
            return put([uid for uid in order if uid != change.item.uid], change.item.uid, change.after)
        case MediaMoved() if change.uid in order and change.after in {*order, "prepend", "append"} - {change.uid}:
            return put([uid for uid in order if uid != change.uid], change.uid, change.after)
        case MediaDeleted():
            return [uid for uid in order if uid != change.uid]
        case PlaylistLoaded():
            return list(dict.fromkeys((order if change.page > 1 else []) + [i.uid for i in change.items]))
        case _:
            return order


@given(st.lists(CHANGES))
def test_any_changes_keep_order_and_items_together(changes: list[Data]) -> None:
    """Against a plain model: the same order, each item once, and the current one out of the list or none."""
    playlist, order = Playlist(), list[int]()
    for change in changes:
        playlist.apply(change)
        order = naive(order, change)
        assert uids(playlist) == order
        assert len(playlist) == len(order) == len(set(order))
        assert [playlist.position(uid) for uid in order] == list(range(len(order)))
        assert playlist.current is None or playlist.current.uid in order


def test_a_full_list_stays_cheap() -> None:
    """8,000 items at the end walk over nothing, and 6,000 changes in the middle are one search in C each.

    The bounds are more than ten times what a slow machine needs.
    """
    playlist = playlist_of(*range(4_000))
    end: list[Data] = [MediaQueued(item(uid), uid - 1) for uid in range(4_000, 12_000)]
    begin = time.perf_counter()
    for event in end:
        playlist.apply(event)
    assert time.perf_counter() - begin < 0.5
    playlist = playlist_of(*range(4_000))
    middle: list[Data] = []
    for uid in range(4_000, 6_000):
        middle += MediaQueued(item(uid), 3_000), MediaMoved(uid, 2_000), MediaDeleted(uid)
    begin = time.perf_counter()
    for event in middle:
        playlist.apply(event)
    assert time.perf_counter() - begin < 3
    assert uids(playlist) == list(range(4_000))
