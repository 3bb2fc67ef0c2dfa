"""Who was in a channel and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    """Their file was removed: what is newer than all before counts, a repeat does not."""
    presence = Presence()
    assert presence.see(event(ev.UserJoined("a"), 100.0, seq=5000)) == [Started("a", 100.0)]
    assert presence.see(event(ev.UserLeft("a"), 90.0, seq=10)) == []
    assert presence.see(event(ev.UserLeft("a"), 200.0, seq=10)) == [Ended("a", 100.0, 200.0)]
    assert presence.see(event(ev.UserJoined("a"), 200.0, seq=10)) == []


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
