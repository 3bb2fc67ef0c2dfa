"""Who was in a channel and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.api import events as ev
from rosey_plugins.database.presence import SILENT, Ended, Presence, Started
from tests.database_place import Place, contents, context, event, line, listed, running, write

JOINED = ev.ConnectionJoined("room", "Rosey", 2)
LOST = ev.ConnectionLost("gone")


def sessions(*told: tuple[float, Any]) -> tuple[list[tuple[str, float, float]], dict[str, float]]:
    """The sessions that ended, and those that go on, after events at times."""
    presence, ended = Presence(), list[tuple[str, float, float]]()
    for seq, (at, data) in enumerate(told, 1):
        for change in presence.see(event(data, at, seq=seq)):
            if isinstance(change, Ended):
                ended.append((change.key, change.since, change.at))
    return sorted(ended), presence.present


def test_they_join_and_leave() -> None:
    """In any spelling; a second join is the same session, and who never came never leaves."""
    told = [
        (1.0, ev.UserJoined("Bob")),
        (2.0, ev.UserJoined("bob")),
        (3.0, ev.UserLeft("eve")),
        (5.0, ev.UserLeft("BOB")),
    ]
    assert sessions(*told) == ([("bob", 1.0, 5.0)], {})


def test_those_who_were_there_before_the_bot() -> None:
    """They are in the list, of any number of pages."""
    told = [(1.0, listed("a", page=1, pages=2)), (1.5, listed("b", page=2, pages=2)), (2.0, JOINED)]
    assert sessions(*told) == ([], {"a": 1.0, "b": 1.5})


def test_the_bot_loses_the_room() -> None:
    """All sessions end then; those of a later list begin anew."""
    told = [(1.0, listed("a", "b")), (2.0, JOINED), (60.0, LOST), (90.0, listed("a")), (91.0, JOINED)]
    assert sessions(*told) == ([("a", 1.0, 60.0), ("b", 1.0, 60.0)], {"a": 90.0})
    for out in (ev.ConnectionKicked("out"), ev.ConnectionRefused("full")):
        assert sessions((1.0, listed("a")), (2.0, JOINED), (60.0, out)) == ([("a", 1.0, 60.0)], {})


def test_a_fresh_list_ends_who_is_not_in_it() -> None:
    """At the last time that anything was seen; who is in it goes on, also who came between two pages."""
    told = [(1.0, listed("a", "b")), (2.0, JOINED), (50.0, ev.UserJoined("c")), (60.0, listed("a", page=1, pages=2))]
    more = [(60.5, ev.UserJoined("d")), (61.0, listed("c", page=2, pages=2))]
    assert sessions(*told, *more) == ([("b", 1.0, 50.0)], {"a": 1.0, "c": 50.0, "d": 60.5})


def test_the_bot_was_killed() -> None:
    """Nobody saw who was there meanwhile: sessions end with what was seen last, and begin again with the list."""
    told = [(1.0, listed("a", "b")), (2.0, JOINED), (50.0, ev.StatsUsercount(3, 2)), (9000.0, listed("b", "c"))]
    assert sessions(*told, (9001.0, JOINED)) == ([("a", 1.0, 50.0), ("b", 1.0, 50.0)], {"b": 9000.0, "c": 9000.0})


def test_the_bot_was_killed_and_does_not_get_in() -> None:
    """A connection that is lost hours later was not there all the time."""
    told = [(1.0, listed("a")), (2.0, JOINED), (50.0, ev.StatsUsercount(3, 2))]
    assert sessions(*told, (50.0 + SILENT, LOST)) == ([("a", 1.0, 50.0 + SILENT)], {})
    assert sessions(*told, (51.0 + SILENT, LOST)) == ([("a", 1.0, 50.0)], {})


def test_numbers_that_begin_at_1_again() -> None:
    """Their file was removed: what is newer than all before counts, a repeat does not. The bot was away meanwhile."""
    presence = Presence()
    assert presence.see(event(ev.UserJoined("a"), 100.0, seq=5000)) == [Started("a", 100.0)]
    assert presence.see(event(ev.UserLeft("a"), 90.0, seq=10)) == []
    assert presence.see(event(ev.UserLeft("a"), 200.0, seq=10)) == [Ended("a", 100.0, 100.0)]
    assert presence.see(event(ev.UserJoined("a"), 200.0, seq=10)) == []


FILM = ev.MediaPlayed(ev.Media("abc", "yt", "A film", 5400), time=600.0)


@pytest.mark.parametrize("down", (15.0, 86400.0))
def test_killed_while_something_plays(down: float) -> None:
    """What CyTube tells before the list is of the new connection; seconds or a day, nobody was seen meanwhile."""
    back = 50.0 + down
    told = [
        (1, 1.0, listed("a", "b")),
        (2, 2.0, JOINED),
        (3, 50.0, ev.StatsUsercount(3, 2)),
        (100_001, back, ev.StatsStatus(10, joined=False, events=1)),
        (100_002, back + 1, FILM),
        (100_003, back + 2, ev.StatsUsercount(3, 2)),
        (100_004, back + 3, listed("b", "c")),
        (100_005, back + 3, JOINED),
    ]
    presence = Presence()
    changes = [change for seq, at, data in told for change in presence.see(event(data, at, seq=seq))]
    assert [one for one in changes if isinstance(one, Ended)] == [Ended("a", 1.0, 50.0), Ended("b", 1.0, 50.0)]
    assert presence.present == {"b": back + 3, "c": back + 3}


def test_a_long_run_has_many_blocks() -> None:
    """Its next block is no sign for long: the bot says that it is in the room."""
    told = [
        (99_999, 10.0, listed("a")),
        (100_000, 10.0, JOINED),
        (100_001, 20.0, ev.StatsUsercount(3, 2)),
        (100_002, 60.0, ev.StatsStatus(50, joined=True, events=1)),
        (100_003, 90.0, LOST),
    ]
    presence = Presence()
    assert [presence.see(event(data, at, seq=seq)) for seq, at, data in told][-1] == [Ended("a", 10.0, 90.0)]


Told = list[tuple[int, float, Any]]
_people = st.sets(st.sampled_from("abcd"))
_ends = st.sampled_from(("killed", "lost", "stopped"))


@st.composite
def evenings(draw: st.DrawFn) -> tuple[Told, list[tuple[str, float, float]], dict[str, float]]:
    """What a bot is told that comes and goes, and by hand the sessions it saw: those that ended, those that go on."""
    told, ended, here = Told(), list[tuple[str, float, float]](), dict[str, float]()
    seq, at = 0, 1000.0

    def tell(data: Any, later: float = 0.0) -> None:
        nonlocal seq, at
        seq, at = seq + 1, at + later
        told.append((seq, at, data))

    ends = [*draw(st.lists(_ends, max_size=4)), ""]
    for end in ends:
        for data in draw(st.lists(st.sampled_from((FILM, ev.StatsUsercount(3, 2))), max_size=3)):
            tell(data, 0.25)
        tell(listed(*(people := draw(_people))), 0.25)
        here = dict.fromkeys(people, at)
        tell(JOINED)
        for who in draw(st.lists(st.sampled_from("abcd"), max_size=4)):
            if who in here:
                tell(ev.UserLeft(who), 30.0)
                ended.append((who, here.pop(who), at))
            else:
                tell(ev.UserJoined(who), 30.0)
                here[who] = at
            tell(ev.StatsStatus(1, joined=True, events=1))
        if end in ("lost", "stopped"):
            tell(LOST, 5.0)
        if end:
            ended += [(who, since, at) for who, since in here.items()]
            at += draw(st.sampled_from((2.0, 15.0, 86400.0)))
        if end in ("killed", "stopped"):
            seq += -seq % 100_000
    return told, sorted(ended), here


@given(evenings())
def test_sessions_are_what_was_seen(evening: tuple[Told, list[tuple[str, float, float]], dict[str, float]]) -> None:
    """However the bot went and whatever it is told first when it comes again; not a second more, none less."""
    told, ended, here = evening
    presence, found = Presence(), list[tuple[str, float, float]]()
    for seq, at, data in told:
        changes = presence.see(event(data, at, seq=seq))
        found += [(one.key, one.since, one.at) for one in changes if isinstance(one, Ended)]
    assert (sorted(found), presence.present) == (ended, here)


async def test_an_early_leave_after_a_later_join(tmp_path: Path) -> None:
    """It is a repeat, and the later session goes on."""
    place = Place(tmp_path)
    leave = event(ev.UserLeft("bob"), 20.0, seq=2)
    async with running(place) as plugin:
        await write(plugin, place, event(ev.UserJoined("bob"), 10.0, seq=1), leave)
        await write(plugin, place, event(ev.UserJoined("bob"), 30.0, seq=3))
        await write(plugin, place, leave)
        stats = await plugin.user_stats(context(place), "bob")
    assert (stats.total_time_connected, stats.current_session_start) == (10.0, 30.0)


async def test_a_restart_of_the_plugin_goes_on(tmp_path: Path) -> None:
    """Between any two events: what is open stays open, half a list is half a list."""
    told = [
        event(listed("a", "b", page=1, pages=2), 10.0, seq=1),
        event(listed("c", page=2, pages=2), 11.0, seq=2),
        event(JOINED, 12.0, seq=3),
        line("a", "x", 15.0, seq=4),
        event(listed("a", page=1, pages=2), 20.0, seq=5),
        event(listed("c", page=2, pages=2), 21.0, seq=6),
        event(ev.UserLeft("c"), 30.0, seq=7),
    ]
    for one in told:
        place = Place(tmp_path)
        async with running(place) as plugin:
            await write(plugin, place, one)
    assert contents(tmp_path)["sessions"] == [
        ("cytube", "a", 10.0, None),
        ("cytube", "b", 10.0, 15.0),
        ("cytube", "c", 11.0, 30.0),
    ]
    assert [(key, connected) for _, key, _, _, _, _, connected in contents(tmp_path)["users"]] == [
        ("a", 0.0),
        ("b", 5.0),
        ("c", 19.0),
    ]
