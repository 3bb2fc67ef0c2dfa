"""The queries that the plugin answers, each about the channel that is asked."""

from __future__ import annotations

from typing import Any

from rosey_core.api import Context, PluginError, Unavailable, query
from rosey_plugins.database.pages import MOST, Page, cursor, place
from rosey_plugins.database.presence import key_of
from rosey_plugins.database.reader import Reader
from rosey_plugins.database.rows import HIDDEN
from rosey_plugins.database.shapes import (
    USER,
    ChannelStats,
    Chatter,
    Chatters,
    Count,
    Counts,
    Line,
    Lines,
    Play,
    Plays,
    Sighting,
    UserStats,
    user_stats,
)

LONGEST_SEARCH = 200
"""Characters of what is searched for."""

_CHANNEL = "(SELECT id FROM channels WHERE name = ?)"
_LINE = "c.at, c.id, coalesce(u.name, ''), c.text, c.kind, c.event FROM"
_SHOWN = f"AND (? OR c.flags & {HIDDEN} = 0)"


class Questions:
    """The queries; `_reader` is set while they can be answered, else `_closed` says why not."""

    _reader: Reader | None = None
    _closed = "it has not started"

    async def _rows(self, sql: str, *values: Any) -> list[Any]:
        if self._reader is None:
            raise Unavailable(f"the database can't be asked: {self._closed}")
        return await self._reader.rows(sql, values)

    @query("user_stats")
    async def user_stats(self, ctx: Context, username: str) -> UserStats:
        """What is known of a user, in any spelling; with `found` false where it is nothing."""
        rows = await self._rows(USER, ctx.channel_name, key_of(username))
        return user_stats(rows[0]) if rows else UserStats(username)

    @query("recent_chat")
    async def recent_chat(
        self, ctx: Context, limit: int = 50, before: str = "", after: str = "", *, hidden: bool = False
    ) -> Lines:
        """Lines of chat. `hidden`: the server's, those of the shadow-muted and those that a judge stopped too."""
        page = Page(limit, before, after)
        end, values = page.sql("c.at", "c.id")
        sql = f"SELECT {_LINE} chat c LEFT JOIN users u ON u.id = c.user WHERE c.channel = {_CHANNEL} {_SHOWN}{end}"
        return _lines(page, await self._rows(sql, ctx.channel_name, hidden, *values))

    @query("search_chat")
    async def search_chat(
        self, ctx: Context, text: str, limit: int = 50, before: str = "", after: str = "", *, hidden: bool = False
    ) -> Lines:
        """Lines that have all the words of `text`; a `*` at the end of a word stands for any ending."""
        page = Page(limit, before, after)
        words = phrase(text)
        if not words:
            raise PluginError("give a word to search for")
        end, values = page.sql_by_number("f.rowid")
        # CROSS: from the index, newest first, so that a word that many lines have is found as fast as one of few.
        sql = (
            f"SELECT {_LINE} chat_fts f CROSS JOIN chat c ON c.id = f.rowid LEFT JOIN users u ON u.id = c.user "
            f"WHERE chat_fts MATCH ? AND c.channel = {_CHANNEL} {_SHOWN}{end}"
        )
        return _lines(page, await self._rows(sql, words, ctx.channel_name, hidden, *values))

    @query("top_chatters")
    async def top_chatters(self, ctx: Context, limit: int = 10, after: str = "") -> Chatters:
        """Users by their lines, most first."""
        if not 1 <= limit <= MOST:
            raise PluginError(f"limit is 1 to {MOST}, not {limit}")
        behind = "AND (lines + base_lines, id) < (?, ?)" if after else ""
        sql = (
            f"SELECT lines + base_lines, id, name, max(coalesce(last_seen, base_last_seen), coalesce(base_last_seen, "
            f"last_seen)) FROM users WHERE channel = {_CHANNEL} AND lines + base_lines > 0 {behind} "
            f"ORDER BY lines + base_lines DESC, id DESC LIMIT ?"
        )
        rows = await self._rows(sql, ctx.channel_name, *(place(after) if after else ()), limit)
        users = [Chatter(name, lines, seen) for lines, _, name, seen in rows]
        return Chatters(users, cursor(rows[-1]) if rows else after)

    @query("channel_stats")
    async def channel_stats(self, ctx: Context) -> ChannelStats:
        """The channel's records and totals."""
        sql = """
SELECT max_users, max_users_at, max_connected, max_connected_at, count(u.id), coalesce(sum(lines + base_lines), 0),
    coalesce(sum(connected + base_connected), 0.0), (SELECT count(*) FROM media WHERE channel = c.id), lost_events
FROM channels c LEFT JOIN users u ON u.channel = c.id WHERE c.name = ? GROUP BY c.id"""
        rows = await self._rows(sql, ctx.channel_name)
        return ChannelStats(*rows[0]) if rows else ChannelStats()

    @query("media_history")
    async def media_history(self, ctx: Context, limit: int = 50, before: str = "", after: str = "") -> Plays:
        """What played."""
        page = Page(limit, before, after)
        end, values = page.sql("at", "seq")
        sql = (
            f"SELECT at, seq, title, link, type, media, seconds, queued_by FROM media WHERE channel = {_CHANNEL}{end}"
        )
        rows, *cursors = page.turn(await self._rows(sql, ctx.channel_name, *values))
        return Plays([Play(at, *rest) for at, _, *rest in rows], *cursors)

    @query("user_counts")
    async def user_counts(self, ctx: Context, limit: int = 100, before: str = "", after: str = "") -> Counts:
        """How many were logged in and connected, at each change."""
        page = Page(limit, before, after)
        end, values = page.sql("at", "seq")
        sql = f"SELECT at, seq, users, connected FROM counts WHERE channel = {_CHANNEL}{end}"
        rows, *cursors = page.turn(await self._rows(sql, ctx.channel_name, *values))
        return Counts([Count(at, *rest) for at, _, *rest in rows], *cursors)

    @query("seen")
    async def seen(self, ctx: Context, username: str) -> Sighting:
        """When somebody was there last, and said something last."""
        stats = await self.user_stats(ctx, username)
        if not stats.found:
            return Sighting(username)
        sql = f"""
SELECT at FROM chat WHERE flags & {HIDDEN} = 0 AND user = (
    SELECT id FROM users WHERE channel = {_CHANNEL} AND key = ?
) ORDER BY at DESC LIMIT 1"""
        rows = await self._rows(sql, ctx.channel_name, key_of(username))
        line = rows[0][0] if rows else None
        here = stats.current_session_start is not None
        return Sighting(stats.username, found=True, here=here, last_seen=stats.last_seen, last_line=line)


def phrase(text: str) -> str:
    """What people type, as an expression of FTS5: each word in quotes, so that nothing in it is an operator."""
    words = []
    for word in text[:LONGEST_SEARCH].replace("\0", " ").encode("utf-8", "replace").decode().split():
        stem = word.rstrip("*")
        if any(letter.isalnum() for letter in stem):
            quoted = stem.replace('"', '""')
            words.append(f'"{quoted}"' + ("*" if stem != word else ""))
    return " ".join(words)


def _lines(page: Page, found: list[Any]) -> Lines:
    rows, *cursors = page.turn(found)
    return Lines([Line(at, *rest) for at, _, *rest in rows], *cursors)
