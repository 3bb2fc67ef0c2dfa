"""What the plugin `database` answers."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.api import PluginError, Unavailable
from rosey_core.api import events as ev
from rosey_core.host.queries import queries_of
from rosey_plugins.database import Database, shapes, upkeep
from rosey_plugins.database.pages import Page, cursor, place
from rosey_plugins.database.questions import phrase
from rosey_plugins.database.settings import DatabaseSettings
from tests.database_place import Place, context, event, line, listed, running, write

MEDIA = ev.Media(id="abc", type="yt", title="A film", seconds=60, link="https://youtu.be/abc")


async def index(plugin: Database) -> None:
    """Let the search index follow at once."""
    assert plugin._writer is not None
    while await upkeep.index_lines(plugin._writer):
        pass


async def test_the_older_systems_fields(tmp_path: Path) -> None:
    """Names and fields are those that its callers know."""
    p = Place(tmp_path)
    ctx = context(p)
    async with running(p) as plugin:
        await write(plugin, p, event(listed("Bob"), 10.0), line("Bob", "one", 11.0), line("Bob", "two", 12.0))
        await write(plugin, p, event(ev.UserLeft("Bob"), 40.5))
        stats = msgspec.to_builtins(await plugin.user_stats(ctx, "bob"))
        assert stats == {
            "username": "Bob",
            "first_seen": 10.0,
            "last_seen": 40.5,
            "total_chat_lines": 2,
            "total_time_connected": 30.5,
            "current_session_start": None,
            "found": True,
        }
        nobody = await plugin.user_stats(ctx, "Nobody")
        assert (nobody.username, nobody.found, nobody.first_seen) == ("Nobody", False, None)
        recent = await plugin.recent_chat(ctx, limit=1)
        newest = msgspec.to_builtins(recent.messages[0])
        assert {key: newest[key] for key in ("timestamp", "username", "message")} == {
            "timestamp": 12.0,
            "username": "Bob",
            "message": "two",
        }
        gone = await plugin.seen(ctx, "bob")
        assert (gone.here, gone.last_seen, gone.last_line) == (False, 40.5, 12.0)
        assert not (await plugin.seen(ctx, "nobody")).found


async def test_pages(tmp_path: Path) -> None:
    """From the newest back and from the oldest on, each line comes once, the newest last, also within one second."""
    p = Place(tmp_path)
    ctx = context(p)
    async with running(p) as plugin:
        await write(plugin, p, *(line("bob", str(i), 100.0 + i // 5) for i in range(23)))
        back: list[str] = []
        page = await plugin.recent_chat(ctx, limit=5)
        newest = page.after
        while page.messages:
            back = [*(one.message for one in page.messages), *back]
            page = await plugin.recent_chat(ctx, limit=5, before=page.before)
        assert back == [str(i) for i in range(23)]
        assert (await plugin.recent_chat(ctx, after=newest)).after == newest
        await write(plugin, p, line("bob", "new", 200.0))
        assert [one.message for one in (await plugin.recent_chat(ctx, after=newest)).messages] == ["new"]

        await index(plugin)
        await write(plugin, p, *(line("eve", f"word {i}", 300.0 + i) for i in range(7)))
        await index(plugin)
        found = await plugin.search_chat(ctx, "WORD", limit=4)
        older = await plugin.search_chat(ctx, "word", limit=4, before=found.before)
        newer = await plugin.search_chat(ctx, "word", limit=9, after=older.after)
        assert [one.message[-1] for one in (*older.messages, *found.messages)] == list("0123456")
        assert newer.messages == found.messages


async def test_texts_without_spaces(tmp_path: Path) -> None:
    """They are found by how a run of letters begins."""
    p = Place(tmp_path)
    async with running(p) as plugin:
        await write(plugin, p, line("bob", "\u65e5\u672c\u8a9e\u306e\u6620\u753b"))
        await index(plugin)
        assert len((await plugin.search_chat(context(p), "\u65e5\u672c*")).messages) == 1
        assert not (await plugin.search_chat(context(p), "\u65e5\u672c")).messages


async def test_other_channels_are_not_told(tmp_path: Path) -> None:
    """Each question is about the channel that is asked."""
    one, two = Place(tmp_path, "one"), Place(tmp_path, "two")
    async with running(one) as plugin:
        await write(plugin, one, line("bob", "in one", channel="one"))
        await write(plugin, two, line("bob", "in two", channel="two"), line("bob", "more", channel="two"))
        await index(plugin)
        for p, count in ((one, 1), (two, 2)):
            ctx = context(p)
            assert (await plugin.user_stats(ctx, "bob")).total_chat_lines == count
            assert len((await plugin.recent_chat(ctx)).messages) == count
            assert len((await plugin.search_chat(ctx, "in")).messages) == 1
            assert (await plugin.channel_stats(ctx)).total_chat_lines == count


async def test_numbers_of_a_channel(tmp_path: Path) -> None:
    """Records with the time they were first reached, totals, what was lost; counts as a series."""
    p = Place(tmp_path)
    ctx = context(p)
    async with running(p) as plugin:
        assert (await plugin.channel_stats(ctx)).max_users == 0
        for at, connected, users in ((10.0, 5, 2), (20.0, 9, 2), (30.0, 9, 3), (40.0, 1, 1)):
            await write(plugin, p, event(ev.StatsUsercount(connected, users), at))
        await write(plugin, p, event(ev.CoreGap(7, 1, 7), 41.0), line("bob", "x"), event(ev.MediaPlayed(MEDIA), 42.0))
        stats = await plugin.channel_stats(ctx)
        series = await plugin.user_counts(ctx, limit=2)
    assert (stats.max_users, stats.max_users_timestamp) == (3, 30.0)
    assert (stats.max_connected, stats.max_connected_timestamp) == (9, 20.0)
    assert (stats.total_users, stats.total_chat_lines, stats.total_media, stats.lost_events) == (1, 1, 1, 7)
    assert [(one.timestamp, one.users, one.connected) for one in series.counts] == [(30.0, 3, 9), (40.0, 1, 1)]


async def test_what_played(tmp_path: Path) -> None:
    """What went on when the bot came back is told once; the same item again from its beginning is another play."""
    p = Place(tmp_path)
    other = msgspec.structs.replace(MEDIA, id="def", title="Another")
    async with running(p) as plugin:
        for at, media, time in ((10.0, MEDIA, -3.0), (40.0, MEDIA, 27.0), (70.0, MEDIA, -3.0), (99.0, other, 30.0)):
            await write(plugin, p, event(ev.MediaPlayed(media, time=time, queued_by="Eve"), at))
        told = await plugin.media_history(context(p))
        assert [(one.timestamp, one.title) for one in told.media] == [
            (10.0, "A film"),
            (70.0, "A film"),
            (99.0, "Another"),
        ]
        assert (told.media[0].queued_by, told.media[0].seconds, told.media[0].link) == ("Eve", 60, MEDIA.link)
        assert len((await plugin.media_history(context(p), before=told.after, limit=1)).media) == 1


async def test_top_chatters(tmp_path: Path) -> None:
    """Most lines first, page by page."""
    p = Place(tmp_path)
    ctx = context(p)
    async with running(p) as plugin:
        for name, count in (("a", 1), ("b", 3), ("c", 2), ("d", 2)):
            await write(plugin, p, *(line(name, str(i)) for i in range(count)))
        await write(plugin, p, event(ev.UserJoined("silent")))
        first = await plugin.top_chatters(ctx, limit=2)
        rest = await plugin.top_chatters(ctx, after=first.after)
    counts = [(one.username, one.total_chat_lines) for one in (*first.users, *rest.users)]
    assert counts == [("b", 3), ("d", 2), ("c", 2), ("a", 1)]


async def test_mistakes_are_told(tmp_path: Path) -> None:
    """In a sentence, each."""
    p = Place(tmp_path)
    ctx = context(p)
    async with running(p) as plugin:
        for limit in (0, 501, -1):
            with pytest.raises(PluginError, match=f"limit is 1 to 500, not {limit}"):
                await plugin.recent_chat(ctx, limit=limit)
            with pytest.raises(PluginError, match="limit is 1 to 500"):
                await plugin.top_chatters(ctx, limit=limit)
        with pytest.raises(PluginError, match="'x' is no cursor: hand back what an answer had"):
            await plugin.recent_chat(ctx, before="x")
        with pytest.raises(PluginError, match="before or after, not both"):
            await plugin.search_chat(ctx, "x", before="1.0_1", after="1.0_1")
        for nothing in ("", "   ", '"', "***", "\0"):
            with pytest.raises(PluginError, match="give a word to search for"):
                await plugin.search_chat(ctx, nothing)
    with pytest.raises(Unavailable, match="can't be asked"):
        await plugin.recent_chat(ctx)


async def test_what_is_searched_for_is_never_an_error(tmp_path: Path) -> None:
    """Whatever people type: no operator of the index, no bad syntax; the line itself is found."""
    p = Place(tmp_path)
    texts = [
        *('a "quoted" line', "AND OR NOT", "text:x", "NEAR(a b)", "^caret", "a-b", "(", "it's", "x*y", "a\0b"),
        *("\u00c9t\u00e9 caf\u00e9", "\u65e5\u672c", "{a b}: c", "-x", "+y"),
    ]
    async with running(p) as plugin:
        await write(plugin, p, *(line("bob", text, 100.0 + i) for i, text in enumerate(texts)))
        await index(plugin)
        for text in texts:
            if phrase(text):
                found = await plugin.search_chat(context(p), text)
                assert text.replace("\0", "\ufffd") in [one.message for one in found.messages]
        assert [one.message for one in (await plugin.search_chat(context(p), "quo* lin*")).messages] == [texts[0]]
        assert (await plugin.search_chat(context(p), "ete CAFE")).messages
        assert not (await plugin.search_chat(context(p), "quo line")).messages


@pytest.fixture(scope="module")
def searched() -> sqlite3.Connection:
    """A search index."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(text, tokenize='unicode61 remove_diacritics 2')")
    return connection


@given(st.text())
def test_no_text_is_a_syntax_error(searched: sqlite3.Connection, text: str) -> None:
    """Of the index's language."""
    words = phrase(text)
    if words:
        searched.execute("SELECT * FROM t WHERE t MATCH ?", (words,)).fetchall()


@given(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12), st.integers(-(2**59), 2**59)
)
def test_a_cursor_is_the_place(at: float, number: int) -> None:
    """To the last bit, there and back."""
    assert place(cursor((at, number))) == (at, number)
    assert Page(1, before=cursor((at, number))).sql("at", "id")[1] == [at, number, 1]


async def test_a_line_can_be_found_soon(tmp_path: Path) -> None:
    """The index follows by itself."""
    p = Place(tmp_path)
    async with running(p) as plugin:
        await write(plugin, p, line("bob", "needle"))
        async with asyncio.timeout(5):
            while not (await plugin.search_chat(context(p), "needle")).messages:  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.05)


DOC = (Path(__file__).parents[1] / "docs" / "plugins" / "database.md").read_text()


def fields_of(struct: type[msgspec.Struct]) -> set[str]:
    """The fields of an answer, and of what is in its lists."""
    inner = [found[1] for kind in struct.__annotations__.values() if (found := re.match(r"list\[(\w+)\]", kind))]
    return {*struct.__struct_fields__}.union(*(fields_of(getattr(shapes, name)) for name in inner))


def test_the_document_names_each_query_with_its_fields() -> None:
    """docs/plugins/database.md: every query, argument and field of an answer is the code's, and none is missing."""
    told = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", DOC + "\n##", re.MULTILINE | re.DOTALL))
    queries = queries_of(Database(DatabaseSettings()))
    assert set(told) == set(queries)
    for name, query in queries.items():
        arguments = re.search(r"^Arguments: (.*)$", told[name], re.MULTILINE)
        assert arguments is not None, name
        assert set(re.findall(r"`(\w+)`", arguments[1].partition(".")[0])) == set(query.types), name
        answer = re.search(r"^Answer: (.*?)\n\n", told[name] + "\n\n", re.MULTILINE | re.DOTALL)
        assert answer is not None, name
        fields = fields_of(getattr(shapes, query.function.__annotations__["return"]))
        assert set(re.findall(r"`(\w+)`", answer[1])) == fields, name


def test_the_document_names_each_setting() -> None:
    """With its default."""
    told = re.findall(r"^\| `(\w+)` \| `(.*?)` \|", DOC, re.MULTILINE)
    defaults = DatabaseSettings()
    assert {name: msgspec.json.decode(value) for name, value in told} == msgspec.to_builtins(defaults)
