"""The plugin `database`: every event is one row, however often and in whatever lists it comes."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosey_core.api import Metadata, NormalizedEvent, NotReady, Verdict
from rosey_core.api import events as ev
from rosey_core.cytube.translate import Translator
from rosey_core.cytube.wire import Event
from rosey_core.host.describe import describe
from rosey_plugins.database import Database
from tests.conftest import TRACES
from tests.database_place import Place, ask, contents, context, event, line, listed, running, write

HISTORY = Metadata(history=True)
MEDIA = ev.Media(id="abc", type="yt", title="A film", seconds=60, link="https://youtu.be/abc")


async def test_what_is_kept(tmp_path: Path) -> None:
    """Lines, plays and numbers with their times and who it was; private messages only where they are switched on."""
    place = Place(tmp_path)
    html = "a &lt; b"
    said = ev.ChatMessage("Bob", "a < b", html=html, kind="say")
    events = [
        event(said, 100.25, identity="x"),
        event(ev.ChatPm("eve", "Rosey", "psst"), 101.0, seq=2),
        event(ev.MediaPlayed(MEDIA, queued_by="Eve"), 102.0, seq=3),
        event(ev.StatsUsercount(connected=5, users=2), 103.0, seq=4),
        event(ev.StatsHighWater(connected=5, users=3), 104.0, seq=5),
        event(ev.StatsStatus(uptime=60, joined=True, events=7), 105.0, seq=6),
        event(ev.ChatMessage("", "the server speaks"), 106.0, identity="y", metadata=Metadata(server=True)),
    ]
    async with running(place) as plugin:
        await write(plugin, place, *events)
    kept = contents(tmp_path)
    assert kept["chat"] == [
        ("cytube", "bob", 100.25, "x", "a < b", html, "say", 0),
        ("cytube", None, 106.0, "y", "the server speaks", None, "say", 4),
    ]
    assert kept["pms"] == []
    assert kept["media"] == [("cytube", 102.0, 3, "A film", "Eve")]
    assert kept["counts"] == [("cytube", 103.0, 4, 5, 2)]
    assert kept["high_water"] == [("cytube", 104.0, 5)]
    assert kept["status"] == [("cytube", 105.0, 6, 7)]
    (channel,) = kept["channels"]
    assert channel[-4:] == (3, 104.0, 5, 103.0)

    switched_on = Place(tmp_path, private_messages=True)
    async with running(switched_on) as plugin:
        await write(plugin, switched_on, *events)
    assert contents(tmp_path)["pms"] == [("cytube", 101.0, 2, "psst")]


async def test_two_equal_lines_are_two(tmp_path: Path) -> None:
    """Their ids differ; the same id again, in the history of a later join, is the same line."""
    place = Place(tmp_path)
    one, two = line("bob", "hi", identity="1"), line("bob", "hi", identity="2")
    again = line("bob", "hi", identity="1", metadata=HISTORY)
    async with running(place) as plugin:
        await write(plugin, place, one, two)
        await write(plugin, place, again, one)
        assert (await plugin.user_stats(context(place), "BOB")).total_chat_lines == 2
    assert len(contents(tmp_path)["chat"]) == 2


async def test_who_joins_and_speaks_at_once(tmp_path: Path) -> None:
    """Somebody is counted from the first line on, and shown as the name was written last."""
    place = Place(tmp_path)
    async with running(place) as plugin:
        await write(plugin, place, event(ev.UserJoined("BoB"), 10.0), line("BoB", "hi", 10.0))
        await write(plugin, place, line("bob", "again", 20.0))
        stats = await plugin.user_stats(context(place), "bOb")
    assert (stats.username, stats.total_chat_lines, stats.first_seen, stats.last_seen) == ("bob", 2, 10.0, 20.0)
    assert stats.current_session_start == 10.0
    assert place.published[0] == (
        "user_stats_updated",
        {
            "channel": "cytube",
            "username": "BoB",
            "first_seen": 10.0,
            "last_seen": 10.0,
            "total_chat_lines": 1,
            "total_time_connected": 0,
            "current_session_start": 10.0,
            "found": True,
        },
    )


async def test_a_repeat_tells_nobody(tmp_path: Path) -> None:
    """What adds nothing changes nobody's numbers; many lines of one list are one event."""
    place = Place(tmp_path)
    lines = [line("bob", str(i), identity=f"n{i}") for i in range(5)]
    async with running(place) as plugin:
        await write(plugin, place, *lines)
        assert len(place.published) == 1
        await write(plugin, place, *lines)
    assert len(place.published) == 1


async def test_odd_texts(tmp_path: Path) -> None:
    """Half characters, NULs and long lines are kept as far as they can be; nothing of them fails the list."""
    place = Place(tmp_path)
    texts = ["\ud800 half", "nul \0 here", "x" * 100_000, "", "'; DROP TABLE chat; --"]
    async with running(place) as plugin:
        await write(plugin, place, *(line("b\ud800b", text, identity=str(i)) for i, text in enumerate(texts)))
    kept = [row[4] for row in sorted(contents(tmp_path)["chat"], key=lambda row: row[3])]
    assert kept == ["? half", "nul \ufffd here", *texts[2:]]


async def test_lists_that_wait_go_into_one_transaction(tmp_path: Path) -> None:
    """Of several channels at once; a list that can't be written fails alone."""
    places = [Place(tmp_path, name) for name in ("a", "b", "c")]
    async with running(places[0]) as plugin:
        said: list[str] = []
        assert plugin._writer is not None
        await plugin._writer.connection.set_trace_callback(said.append)
        lists = [plugin.on_events(context(p), [line("bob", "x", channel=p.channel_name)]) for p in places]
        await asyncio.gather(*lists)
        transactions = "\n".join(said).split("COMMIT")
        assert sum("INSERT INTO chat (" in one for one in transactions) == 1

        bad: Any = event(ev.StatsUsercount(connected=1 << 70), channel="a")
        good = line("bob", "y", channel="b")
        results = await asyncio.gather(
            plugin.on_events(context(places[0]), [bad]),
            plugin.on_events(context(places[1]), [good]),
            return_exceptions=True,
        )
    assert isinstance(results[0], OverflowError)
    assert results[1] is None
    assert len(contents(tmp_path)["chat"]) == 4


async def test_a_full_or_locked_disk_is_not_the_events_fault(tmp_path: Path) -> None:
    """The list is refused with `NotReady`, and goes in later."""
    place = Place(tmp_path)
    said = line("bob", "x" * 100_000)
    async with running(place) as plugin:
        assert plugin._writer is not None
        connection = plugin._writer.connection
        (pages,) = await (await connection.execute("PRAGMA page_count")).fetchone() or (0,)
        await connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(NotReady, match="can't be written now: database or disk is full"):
            await write(plugin, place, said)
        await connection.execute("PRAGMA max_page_count = 1000000")
        await connection.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(tmp_path / "database.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotReady, match="database is locked"):
            await write(plugin, place, said)
        other.execute("ROLLBACK")
        other.close()
        await write(plugin, place, said)
    assert len(contents(tmp_path)["chat"]) == 1


@pytest.mark.parametrize("steps", range(0, 12, 2))
async def test_who_cancels_every_task(tmp_path: Path, steps: int) -> None:
    """Cancels the writer too, at any point; it is begun again with the next list, and all is written once."""
    place = Place(tmp_path)
    async with running(place) as plugin:
        await write(plugin, place, line("bob", "one"))
        begun = list(place.tasks)
        waiting = asyncio.create_task(write(plugin, place, line("bob", "two", identity="two")))
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in (*begun, waiting):
            task.cancel()
        await asyncio.wait((*begun, waiting))
        await write(plugin, place, line("bob", "two", identity="two"), line("bob", "three"))
        assert [one.message for one in (await plugin.recent_chat(context(place))).messages] == ["one", "two", "three"]
        assert place.events == ["database.task_ended"] * 4
        assert not any(task.done() for task in place.tasks[4:])


async def test_flags(tmp_path: Path) -> None:
    """What is known of a line stands beside it; what others do not see is answered only to who asks."""
    place = Place(tmp_path)
    stopped = Metadata(verdict=Verdict(stop=True))
    async with running(place) as plugin:
        await write(
            plugin,
            place,
            line("bob", "own", metadata=Metadata(own=True)),
            line("bob", "shadow", metadata=Metadata(shadow=True)),
            line("bob", "stopped", metadata=stopped),
            line("bob", "missed", metadata=HISTORY),
        )
        shown = await plugin.recent_chat(context(place))
        everything = await plugin.recent_chat(context(place), hidden=True)
    assert [one.message for one in shown.messages] == ["own", "missed"]
    assert [one.message for one in everything.messages] == ["own", "shadow", "stopped", "missed"]
    assert [row[-1] for row in ask(tmp_path, "SELECT flags FROM chat ORDER BY id")] == [2, 8, 16, 1]


FILM = ev.Media(id="abc", type="yt", title="A film", seconds=240)
LIVE = ev.Media(id="tv", type="tw", title="Live")


@pytest.mark.parametrize(
    ("later", "again", "plays"),
    (
        (67.0, ev.MediaPlayed(FILM, time=64.0, uid=7, queued_by="Eve"), 1),  # the bot came again
        (5.0, ev.MediaPlayed(FILM, time=2.0, uid=7, queued_by="eve"), 1),
        (500.0, ev.MediaPlayed(FILM, time=190.0, uid=7, queued_by="Eve"), 2),  # on and on, while the bot was away
        (260.0, ev.MediaPlayed(FILM, time=176.0, uid=7, queued_by="Eve"), 1),  # it was paused
        (67.0, ev.MediaPlayed(FILM, time=200.0, uid=7, queued_by="Eve"), 1),  # it was sought
        (67.0, ev.MediaPlayed(FILM, time=64.0), 1),  # the list may not be seen this time
        (243.0, ev.MediaPlayed(FILM, time=-3.0, uid=7, queued_by="Eve"), 2),
        (86400.0, ev.MediaPlayed(FILM, time=100.0, uid=7, queued_by="Eve"), 2),
        (67.0, ev.MediaPlayed(FILM, time=64.0, uid=8, queued_by="Eve"), 2),
        (67.0, ev.MediaPlayed(FILM, time=64.0, uid=7, queued_by="Bob"), 2),
        (67.0, ev.MediaPlayed(LIVE, time=64.0, uid=7, queued_by="Eve"), 2),
    ),
)
async def test_what_plays_is_told_at_each_join(
    tmp_path: Path, later: float, again: ev.MediaPlayed, plays: int
) -> None:
    """A play that goes on is one, by what it is and where it stands; what is played again counts again."""
    place = Place(tmp_path)
    first = event(ev.MediaPlayed(FILM, time=-3.0, uid=7, queued_by="Eve"), 1000.0, seq=5)
    second = event(again, 1000.0 + later, seq=100_001)
    async with running(place) as plugin:
        await write(plugin, place, first, second)
        await write(plugin, place, second, first)
        await write(plugin, place, first, second, event(ev.MediaPlayed(LIVE, uid=9), 90_000.0, seq=100_002))
        await write(plugin, place, second, event(ev.MediaPlayed(LIVE, uid=9), 99_000.0, seq=200_002), second)
        assert len((await plugin.media_history(context(place))).media) == plays + 1
        assert (await plugin.channel_stats(context(place))).total_media == plays + 1


# --- at least once -----------------------------------------------------------------------------------------

_names = st.sampled_from(["Alice", "alice", "bob", "Eve", "\u00c9ve"])
_data: st.SearchStrategy[Any] = st.one_of(
    st.builds(ev.ChatMessage, _names, st.sampled_from(["a", "b"])),
    st.builds(ev.ChatMessage, _names, st.sampled_from(["a", "b"])),
    st.builds(ev.ChatPm, _names, _names, st.just("psst")),
    st.builds(ev.UserJoined, _names),
    st.builds(ev.UserLeft, _names),
    st.lists(_names, max_size=3).map(lambda names: listed(*names)),
    st.tuples(_names, st.integers(1, 2)).map(lambda t: listed(t[0], page=t[1], pages=2)),
    st.builds(ev.MediaPlayed, st.just(MEDIA), st.sampled_from([-3.0, 0.0, 57.0]), queued_by=_names),
    st.builds(ev.StatsUsercount, st.integers(0, 5), st.integers(0, 5)),
    st.builds(ev.StatsHighWater, st.integers(0, 5), st.integers(0, 5)),
    st.builds(ev.StatsStatus, st.just(1.0), joined=st.booleans(), events=st.just(1)),
    st.just(ev.ConnectionJoined("room", "Rosey", 2)),
    st.sampled_from([ev.ConnectionLost("gone"), ev.ConnectionKicked("out"), ev.ConnectionRefused("full")]),
    st.just(ev.CoreGap(3, 1, 3)),
)


@st.composite
def histories(draw: st.DrawFn) -> list[NormalizedEvent]:
    """What happened in a channel, in order; the clock may stand still, jump or step back a little."""
    channel = draw(st.sampled_from(["a", "b"]))
    at, seq, events = 1000.0, 0, list[NormalizedEvent]()
    for data in draw(st.lists(_data, max_size=25)):
        at += draw(st.sampled_from([0.0, 0.25, 1.0, 60.0, 1000.0, -5.0]))
        seq += draw(st.sampled_from([1, 2, 3, 100_000]))
        identity = f"line-{at}-{data.username}-{seq}" if isinstance(data, ev.ChatMessage) else ""
        history = isinstance(data, ev.ChatMessage) and draw(st.booleans())
        metadata = HISTORY if history else Metadata()
        events.append(event(data, at, seq=seq, identity=identity, channel=channel, metadata=metadata))
    return events


async def _once(directory: Path, events: Sequence[NormalizedEvent]) -> dict[str, list[Any]]:
    place = Place(directory, private_messages=True)
    async with running(place) as plugin:
        for one in events:
            place.channel_name = one.channel
            await write(plugin, place, one)
    return contents(directory)


async def _somehow(directory: Path, events: Sequence[NormalizedEvent], data: st.DataObject) -> dict[str, list[Any]]:
    """By two copies, which interleave; each gets all in order, in lists of any length, some of them again."""
    places = [Place(directory, private_messages=True) for _ in range(2)]
    async with running(places[0]) as one, running(places[1]) as two:
        ways = [(one, places[0]), (two, places[1])]
        done = [0, 0]
        while min(done) < len(events):
            which = data.draw(st.integers(0, 1))
            plugin, place = ways[which]
            begin = done[which] - data.draw(st.integers(0, min(3, done[which])))
            end = min(len(events), begin + data.draw(st.integers(1, 8)))
            if begin < end:
                place.channel_name = events[0].channel
                await write(plugin, place, *events[begin:end])
            done[which] = max(done[which], end)
    return contents(directory)


@settings(max_examples=60, deadline=None)
@given(histories(), st.data())
def test_any_cutting_repetition_and_interleaving(events: list[NormalizedEvent], data: st.DataObject) -> None:
    """The tables are the same as when each event came once, alone."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        once = asyncio.run(_once(Path(first), events))
        assert asyncio.run(_somehow(Path(second), events, data)) == once


async def test_a_second_copy_is_told_once(tmp_path: Path) -> None:
    """Two on one file do no harm and are named; one after another are none."""
    places = [Place(tmp_path) for _ in range(3)]
    async with running(places[0]) as first, running(places[1]):
        assert places[0].events == []
        assert places[1].events == ["database.second_copy"]
        assert first._writer is not None
        await first.beat(context(places[0]), first._writer)
        await first.beat(context(places[0]), first._writer)
        assert places[0].events == ["database.second_copy"]
    async with running(places[2]):
        assert places[2].events == []


class Recorded(msgspec.Struct):
    """One line of a trace."""

    dir: str
    frame: str


def recorded(path: Path) -> list[NormalizedEvent]:
    """The events of a trace, a second apart."""
    translator, events = Translator(), list[NormalizedEvent]()
    for one in map(msgspec.json.Decoder(Recorded).decode, path.read_bytes().splitlines()):
        if one.dir == "out" and '"joinChannel"' in one.frame:
            translator.joining()
        if one.dir == "in" and one.frame.startswith("42["):
            name, *args = msgspec.json.decode(one.frame[2:], type=list[msgspec.Raw])
            wire = Event(msgspec.json.decode(name, type=str), bytes(args[0]) if args else b"")
            for draft in translator.feed(wire):
                seq = len(events) + 1
                at = draft.time or 1_700_000_000.0 + seq
                events.append(event(draft.data, at, seq=seq, metadata=draft.metadata))
    return events


@pytest.mark.parametrize("name", ("06-chat", "07-users-join-leave-afk-rank", "08b-playback-advance", "10-kick"))
async def test_recorded_rooms(tmp_path: Path, name: str) -> None:
    """Of real rooms each line and each play is there, and each twice handed over is there once."""
    events = recorded(TRACES / f"{name}.jsonl")
    place = Place(tmp_path)
    async with running(place) as plugin:
        for at in range(0, len(events), 7):
            await write(plugin, place, *events[at : at + 7])
            await write(plugin, place, *events[at : at + 7])
    kept = contents(tmp_path)
    for table, kind in (("chat", "chat.message"), ("media", "media.played"), ("counts", "stats.usercount")):
        assert len(kept[table]) == len([e for e in events if e.event_type == kind])
    spoke = {row[1] for row in kept["chat"] if row[1]}
    assert spoke <= {row[1] for row in kept["users"]}
    assert sum(row[5] for row in kept["users"]) == len([row for row in kept["chat"] if row[1]])


async def test_no_cost_grows_with_the_tables(tmp_path: Path) -> None:
    """Nothing that is done for a list of events walks a table or an index from end to end."""
    place = Place(tmp_path)
    async with running(place) as plugin:
        assert plugin._writer is not None
        connection, said = plugin._writer.connection, list[str]()
        await connection.set_trace_callback(said.append)
        await write(plugin, place, *recorded(TRACES / "06-chat.jsonl"), event(ev.UserLeft("Alice"), 3e9, seq=10**6))
        await write(plugin, place, event(ev.StatsHighWater(1, 1)), event(ev.StatsStatus(1, joined=True, events=1)))
        await connection.set_trace_callback(lambda _: None)
        statements = {text for text in said if text.lstrip().startswith(("SELECT", "INSERT", "UPDATE"))}
        walked = set()
        for text in statements - {text for text in statements if "chat_fts" in text}:
            for row in await connection.execute_fetchall(f"EXPLAIN QUERY PLAN {text}"):
                if row[3].startswith("SCAN") or (">" in row[3] and "rowid>" not in row[3]):
                    walked.add(row[3])
    assert len(statements) > 10
    # What a subquery found; the keys that changed; and SQLite's table of numbers, which has one row.
    walked = {text for text in walked if not text.startswith("SCAN (subquery-")}
    assert walked <= {"SCAN added", "SCAN j VIRTUAL TABLE INDEX 1:", "SCAN sqlite_sequence"}


def test_the_manifest() -> None:
    """It is one instance over all channels, fed from the event log, and says what it keeps."""
    description = describe("database", Database)
    assert description.shared
    assert description.durable
    assert description.keeps.startswith("for each user: ")
    assert set(description.hooks) == {"start", "stop", "on_events", "forget", "export"}
