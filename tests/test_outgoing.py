"""The table of actions, row by row: frame, right, confirmation, refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from rosey_core import actions as do
from rosey_core import events as ev
from rosey_core.actions import ACTIONS, Action, Outcome
from rosey_core.channel.channel import Channel
from rosey_core.cytube.outgoing import RULES, complaint

ME = "TestBot"
DONE = Outcome("done")
MEDIA = ev.Media("abc", "yt", "A title", 60)
POLL = ("Best?", ("a", "b"), (0, 0), ME, 5000)
CSS_HASH = "qO0S9u0ubYmKuKkXGKmmgA=="
JS_HASH = "qzZjKTWqWbDXx/Nk0xwKbQ=="

SESSIONS = {"joinChannel", "channelPassword", "login"}
"""What the session sends."""
NOT_FOR_BOTS = {"initACP", "borrow-rank", "acp-*", "reportReconnect"}
"""For the server's own administrators, and a count of reconnects for its operator."""
CLIENT_EVENTS = (
    "joinChannel channelPassword login chatMsg pm queue delete moveMedia jumpTo playNext setTemp clearPlaylist "
    "shufflePlaylist togglePlaylistLock requestPlaylist playerReady assignLeader mediaUpdate listPlaylists "
    "clonePlaylist deletePlaylist queuePlaylist searchMedia uncache newPoll vote closePoll voteskip setOptions "
    "setPermissions setMotd setChannelCSS setChannelJS readChanLog initACP setChannelRank requestChannelRanks "
    "requestBanlist requestChatFilters unban updateEmote renameEmote removeEmote moveEmote importEmotes addFilter "
    "updateFilter removeFilter moveFilter importFilters reportReconnect borrow-rank acp-* "
)
"""Every event that CyTube 3.86 takes from a client."""
KICKING = {
    "assignLeader",
    "setOptions",
    "setPermissions",
    "setMotd",
    "setChannelCSS",
    "setChannelJS",
    "readChanLog",
}
"""For these CyTube throws out who lacks the right; seen on a running server."""


@dataclass(frozen=True)
class Row:
    """An action, what goes out for it, the right it needs, and what events mean for it."""

    action: Action
    frame: tuple[Any, ...]
    needs: tuple[str, ...] = ()
    rank: float | None = None
    done: tuple[ev.Data, ...] = ()
    result: Any = None
    refused: tuple[tuple[ev.Data, str], ...] = ()
    nothing: tuple[ev.Data, ...] = ()

    @property
    def id(self) -> str:
        """A name for the test."""
        return self.action.name


def error(text: str, **fields: Any) -> ev.ErrorMessage:
    """An error of CyTube."""
    return ev.ErrorMessage(text, **fields)


def queued(media: ev.Media = MEDIA, by: str = ME, uid: int = 9) -> ev.MediaQueued:
    """An item came into the list."""
    return ev.MediaQueued(ev.Item(uid, media, queued_by=by), "prepend")


def told(text: str) -> ev.ChatMessage:
    """A line of the server."""
    return ev.ChatMessage("[server]", text)


def line(text: str) -> tuple[str, dict[str, str]]:
    """The frame of a line of chat."""
    return "chatMsg", {"msg": text}


def emote(change: str, name: str, old: str = "") -> ev.ChannelEmoteChanged:
    """An emote changed."""
    return ev.ChannelEmoteChanged(change, ev.Emote(name, "https://x.example/k.png"), old)


def a_filter(change: str, name: str) -> ev.ChannelFilterChanged:
    """A chat filter changed."""
    return ev.ChannelFilterChanged(change, ev.Filter(name))


ECHO = ev.ChatMessage("testbot", "hello")
OTHERS = ev.ChatMessage("alice", "hello")
MUTED = (ev.ChatRefused("muted", "You have been muted on this channel."), "You have been muted on this channel.")
NEW = (ev.ChatRefused("new_user_link", "too new"), "no links from accounts as new as the bot's")
BY_FILTER = {"source": "x+", "flags": "gi", "replace": "y", "active": True, "filterlinks": True}

ROWS = (
    # --- lines ---
    Row(
        do.SendMessage(text="hello"),
        line("hello"),
        ("chat",),
        done=(ECHO,),
        refused=(MUTED, NEW),
        nothing=(OTHERS, told("hello"), ev.ChatPm(ME, "alice", "hello"), error("no idea")),
    ),
    Row(do.SendMessage(text="waves", me=True), line("/me waves"), ("chat",), done=(ECHO,), nothing=(OTHERS,)),
    Row(do.SendMessage(text="/kick alice"), line(" /kick alice"), ("chat",), done=(ECHO,)),
    Row(
        do.SendPm(to="alice", text="/psst"),
        ("pm", {"to": "alice", "msg": "/psst"}),
        done=(ev.ChatPm(ME, "Alice", "/psst"),),
        refused=((error("PM failed: alice isn't connected to this channel."), "isn't connected"),),
        nothing=(ECHO, ev.ChatPm("alice", ME, "/psst"), ev.ChatPm(ME, "bob", "/psst"), error("Invalid target: (")),
    ),
    Row(
        do.ClearChat(),
        line("/clear"),
        ("chat", "chatclear"),
        done=(ev.ChatCleared(ME),),
        nothing=(ev.ChatCleared("alice"), ECHO),
    ),
    Row(
        do.MuteUser(user="bob"),
        line("/mute bob"),
        ("chat", "mute"),
        done=(ev.UserMetaChanged("Bob", muted=True), told("TestBot muted bob")),
        refused=((error("/mute failed - alice has equal or higher rank than you."), "equal or higher"),),
        nothing=(ev.UserMetaChanged("bob"), ev.UserMetaChanged("alice", muted=True), told("alice muted bob"), ECHO),
    ),
    Row(
        do.ShadowMuteUser(user="bob"),
        line("/smute bob"),
        ("chat", "mute"),
        done=(ev.UserMetaChanged("bob", shadow_muted=True), told("TestBot shadowmuted bob")),
        refused=((error("/smute failed - alice has equal or higher rank than you."), "equal or higher"),),
        nothing=(ev.UserMetaChanged("bob", muted=True),),
    ),
    Row(
        do.UnmuteUser(user="bob"),
        line("/unmute bob"),
        ("chat", "mute"),
        done=(ev.UserMetaChanged("bob"), told("TestBot unmuted bob")),
        refused=((error("bob is not muted."), "not muted"),),
        nothing=(ev.UserMetaChanged("bob", muted=True), ev.UserMetaChanged("bob", shadow_muted=True)),
    ),
    Row(
        do.KickUser(user="bob", reason="too\nloud"),
        line("/kick bob too loud"),
        ("chat", "kick"),
        done=(ev.UserLeft("BOB"), told("TestBot kicked bob")),
        refused=((error("You do not have permission to kick bob"), "do not have permission"),),
        nothing=(ev.UserLeft("alice"),),
    ),
    Row(
        do.KickAnonymous(),
        line("/kickanons"),
        ("chat", "kick"),
        done=(told("TestBot kicked anonymous users"),),
        nothing=(told("alice kicked anonymous users"), ev.UserLeft("bob")),
    ),
    Row(
        do.BanUser(user="dave", reason="spam"),
        line("/ban dave spam"),
        ("chat", "ban"),
        done=(told("TestBot namebanned dave"),),
        refused=((error("You don't have permission to ban dave"), "don't have permission"),),
        nothing=(told("alice namebanned dave"), ev.UserLeft("dave")),
    ),
    Row(
        do.BanAddress(user="dave", reason="range is his word", range=""),
        line("/ipban dave (range is his word)"),
        ("chat", "ban"),
        done=(told("TestBot banned [address] (dave)"), told("TestBot namebanned dave")),
        refused=((error("dave is already banned"), "already banned"),),
        nothing=(told("TestBot banned [address] (bob)"),),
    ),
    Row(
        do.BanAddress(user="dave", range="wrange"),
        line("/ipban dave wrange"),
        ("chat", "ban"),
        done=(told("TestBot banned [address] (dave)"),),
    ),
    Row(
        do.SetAway(away=True),
        line("/afk"),
        ("chat",),
        done=(ev.UserMetaChanged(ME, afk=True),),
        nothing=(ev.UserMetaChanged(ME), ev.UserMetaChanged("bob", afk=True)),
    ),
    Row(
        do.Drink(text="cheers", count=2),
        line("/d2 cheers"),
        ("chat", "drink"),
        done=(ev.ChatMessage(ME, "cheers drink! (x2)", kind="drink"),),
        refused=(MUTED,),
        nothing=(ev.ChannelDrinks(2),),
    ),
    Row(do.Drink(count=-1), line("/d-1"), ("chat", "drink"), done=(ev.ChannelDrinks(4),)),
    Row(
        do.CleanPlaylist(pattern="^bob$"),
        line("/clean ^bob$"),
        ("chat", "playlistdelete"),
        refused=((error("Invalid target: ("), "Invalid target"),),
        nothing=(ev.MediaDeleted(1), ECHO),
    ),
    Row(
        do.CleanPlaylist(pattern="ads", by="title"),
        line("/cleantitle ads"),
        ("chat", "playlistdelete"),
        nothing=(ev.MediaDeleted(1),),
    ),
    # --- what plays ---
    Row(
        do.QueueMedia(id="abc", type="yt"),
        ("queue", {"id": "abc", "type": "yt", "pos": "end", "temp": True}),
        ("playlistadd",),
        done=(queued(), queued(by="testbot")),
        result={"uid": 9},
        refused=(
            (ev.MediaQueueFailed("This item is already on the playlist", id="abc"), "already on the playlist"),
            (ev.MediaQueueFailed("No such video", link="https://youtu.be/abc"), "No such video"),
        ),
        nothing=(
            queued(by="alice"),
            queued(ev.Media("other", "yt")),
            ev.MediaQueueFailed("of another", id="other"),
        ),
    ),
    Row(
        do.QueueMedia(id="https://x.example/a.mp4", type="fi", position="next", temp=False, title="A", duration=3),
        ("queue", {"id": "https://x.example/a.mp4", "type": "fi", "pos": "next", "temp": False, "title": "A"}),
        ("playlistadd", "playlistnext", "playlistaddrawfile"),
        done=(queued(ev.Media("https://x.example/a.mp4", "fi")),),
        result={"uid": 9},
    ),
    Row(
        do.QueueMedia(id="stream", type="tw", title="ignored", duration=60),
        ("queue", {"id": "stream", "type": "tw", "pos": "end", "temp": True, "duration": 60}),
        ("playlistadd", "playlistaddlive"),
        done=(queued(ev.Media("stream", "tw")),),
        result={"uid": 9},
    ),
    Row(
        do.QueueMedia(id="<iframe>", type="cu"),
        ("queue", {"id": "<iframe>", "type": "cu", "pos": "end", "temp": True}),
        ("playlistadd", "playlistaddcustom", "playlistaddlive"),
        done=(queued(ev.Media("cu:hash", "cu")),),
        result={"uid": 9},
        nothing=(queued(ev.Media("cu:hash", "cu"), by="alice"),),
    ),
    Row(
        do.QueueSaved(title="one", position="next", temp=False),
        ("queuePlaylist", {"name": "one", "pos": "next", "temp": False}),
        ("playlistaddlist", "playlistnext"),
        rank=1,
        done=(queued(),),
        result={"uid": 9},
        refused=(
            (error("Playlist load failed: no such list"), "no such list"),
            (ev.MediaQueueFailed("Playlist limit reached (4000)"), "limit reached"),
        ),
        nothing=(queued(by="alice"),),
    ),
    Row(
        do.DeleteMedia(uid=1),
        ("delete", 1),
        ("playlistdelete",),
        done=(ev.MediaDeleted(1),),
        nothing=(ev.MediaDeleted(2),),
    ),
    Row(
        do.MoveMedia(uid=1, after=2),
        ("moveMedia", {"from": 1, "after": 2}),
        ("playlistmove",),
        done=(ev.MediaMoved(1, 2),),
        nothing=(ev.MediaMoved(1, "prepend"), ev.MediaMoved(2, 2)),
    ),
    Row(
        do.JumpTo(uid=2),
        ("jumpTo", 2),
        ("playlistjump",),
        done=(ev.PlaylistCurrent(2),),
        nothing=(ev.PlaylistCurrent(1),),
    ),
    Row(do.PlayNext(), ("playNext",), ("playlistjump",), done=(ev.MediaPlayed(MEDIA),)),
    Row(
        do.SetTemp(uid=1, temp=False),
        ("setTemp", {"uid": 1, "temp": False}),
        ("settemp",),
        done=(ev.MediaTempChanged(1, temp=False),),
        nothing=(ev.MediaTempChanged(1, temp=True),),
    ),
    Row(
        do.SyncMedia(id="abc", type="yt", time=12.5, paused=True),
        ("mediaUpdate", {"id": "abc", "currentTime": 12.5, "paused": True, "type": "yt"}),
        done=(ev.MediaSynced(12.5, paused=True),),
        nothing=(ev.MediaSynced(12.5), ev.MediaSynced(17.5, paused=True)),
    ),
    Row(do.RefreshMedia(), ("playerReady",), done=(ev.MediaPlayed(MEDIA),)),
    Row(
        do.SearchMedia(query="cats", source="yt"),
        ("searchMedia", {"query": "cats", "source": "yt"}),
        done=(ev.MediaFound("yt", ()),),
        result={"source": "yt", "results": []},
    ),
    Row(do.UncacheMedia(id="abc"), ("uncache", {"id": "abc"}), ("deletefromchannellib",)),
    Row(
        do.ClearPlaylist(),
        ("clearPlaylist",),
        ("playlistclear",),
        done=(ev.PlaylistLoaded(()),),
        nothing=(ev.PlaylistLoaded((ev.Item(1, MEDIA),)),),
    ),
    Row(
        do.ShufflePlaylist(),
        ("shufflePlaylist",),
        ("playlistshuffle",),
        done=(ev.PlaylistLoaded((), 2, 2),),
        nothing=(ev.PlaylistLoaded((), 1, 2),),
    ),
    Row(
        do.LockPlaylist(locked=False),
        ("togglePlaylistLock",),
        ("playlistlock",),
        done=(ev.PlaylistLocked(locked=False),),
        nothing=(ev.PlaylistLocked(locked=True),),
    ),
    Row(
        do.RequestPlaylist(),
        ("requestPlaylist",),
        ("seeplaylist",),
        done=(ev.PlaylistLoaded(()),),
        refused=((error("limited to 1 usage", code="REQ_PLAYLIST_LIMIT_REACHED"), "limited to 1"),),
    ),
    Row(
        do.ListSaved(),
        ("listPlaylists",),
        rank=1,
        done=(ev.PlaylistSaved((ev.SavedPlaylist("one", 3, 60),)),),
        result={"playlists": [{"name": "one", "count": 3, "seconds": 60}]},
    ),
    Row(
        do.SavePlaylist(title="a😀"),
        ("clonePlaylist", {"name": "a😀"}),
        ("seeplaylist",),
        rank=1,
        done=(ev.PlaylistSaved((ev.SavedPlaylist("a?"),)),),
        refused=((error("Database error: no"), "Database error"),),
        nothing=(ev.PlaylistSaved(()),),
    ),
    Row(
        do.DeleteSaved(title="one"),
        ("deletePlaylist", {"name": "one"}),
        rank=1,
        done=(ev.PlaylistSaved(()),),
        nothing=(ev.PlaylistSaved((ev.SavedPlaylist("one"),)),),
    ),
    # --- users ---
    Row(
        do.UnbanUser(id=5, user="dave"),
        ("unban", {"id": 5, "name": "dave"}),
        ("ban",),
        done=(ev.ChannelBanRemoved(5, "dave"),),
        nothing=(ev.ChannelBanRemoved(6, "dave"),),
    ),
    Row(
        do.SetRank(user="alice", rank=2),
        ("setChannelRank", {"name": "alice", "rank": 2}),
        rank=3,
        done=(ev.UserRankChanged("Alice", 2),),
        refused=((error("You can't promote", kind="channelRankFail"), "can't promote"),),
        nothing=(ev.UserRankChanged("alice", 1), ev.UserRankChanged("bob", 2)),
    ),
    Row(
        do.SetLeader(user="alice"),
        ("assignLeader", {"name": "alice"}),
        ("leaderctl",),
        done=(ev.UserLeaderChanged("alice"),),
        refused=((error("Unable to assign leader: could not find user alice"), "could not find"),),
        nothing=(ev.UserLeaderChanged(),),
    ),
    Row(do.SetLeader(), ("assignLeader", {"name": ""}), ("leaderctl",), done=(ev.UserLeaderChanged(),)),
    # --- polls ---
    Row(
        do.OpenPoll(title="Best?", options=("a", "b")),
        ("newPoll", {"title": "Best?", "opts": ["a", "b"], "obscured": False}),
        ("pollctl",),
        done=(ev.PollOpened(*POLL),),
        result={"options": ["a", "b"], "timestamp_ms": 5000},
        refused=((error("Poll timeout must be between 1 and 86400 seconds"), "timeout"),),
        nothing=(ev.PollOpened(*POLL[:3], "alice", 1), ev.PollUpdated(*POLL), ev.PollClosed()),
    ),
    Row(
        do.OpenPoll(title="B", options=("a",), hidden=True, timeout=60, keep_votes=True),
        ("newPoll", {"title": "B", "opts": ["a"], "obscured": True, "timeout": 60, "retainVotes": True}),
        ("pollctl",),
    ),
    Row(
        do.Vote(option=1),
        ("vote", {"option": 1}),
        ("pollvote",),
        done=(ev.PollUpdated(*POLL),),
        refused=((ev.PollUpdated("B", ("a",), (0,)), "no option 1"),),
        nothing=(ev.PollOpened(*POLL),),
    ),
    Row(do.ClosePoll(), ("closePoll",), ("pollctl",), done=(ev.PollClosed(),), nothing=(ev.PollUpdated(*POLL),)),
    Row(do.VoteSkipNow(), ("voteskip",), ("voteskip",), done=(ev.VoteSkip(1, 3),), nothing=(ev.VoteSkipCleared(),)),
    # --- the room's settings ---
    Row(
        do.SetOptions(options={"afk_timeout": 300}),
        ("setOptions", {"afk_timeout": 300}),
        rank=2,
        done=(ev.ChannelOptions({"afk_timeout": 300}),),
        refused=(
            (error("AFK timeout must be", kind="validationError"), "AFK timeout"),
            (error('Expected number for playlist_max_duration_per_user, not "x"'), "Expected number"),
        ),
    ),
    Row(
        do.SetPermissions(nodes={"chat": 1.5}),
        ("setPermissions", {"chat": 1.5}),
        rank=3,
        done=(ev.ChannelPermissions({"chat": 1.5, "kick": 2}),),
        refused=((ev.ChannelPermissions({"kick": 2}), "no permission chat"),),
        nothing=(ev.ChannelPermissions({"chat": 0}),),
    ),
    Row(do.SetMotd(html="<b>x</b>"), ("setMotd", {"motd": "<b>x</b>"}), ("motdedit",), done=(ev.ChannelMotd("x"),)),
    Row(
        do.SetCss(css="body{color:red}"),
        ("setChannelCSS", {"css": "body{color:red}"}),
        rank=3,
        nothing=(ev.ChannelStyle("other", "other"),),
    ),
    Row(
        do.SetJs(js="console.log(1)"),
        ("setChannelJS", {"js": "console.log(1)"}),
        rank=3,
        nothing=(ev.ChannelStyle("other", "other"),),
    ),
    Row(
        do.RequestRanks(),
        ("requestChannelRanks",),
        rank=3,
        done=(ev.ChannelRanks((ev.ChannelRank("alice", 3),)),),
        result={"ranks": [{"name": "alice", "rank": 3}]},
    ),
    Row(do.RequestBans(), ("requestBanlist",), ("ban",), done=(ev.ChannelBans(()),), result={"bans": []}),
    Row(
        do.RequestFilters(),
        ("requestChatFilters",),
        ("filteredit",),
        done=(ev.ChannelFilters(()),),
        result={"filters": []},
    ),
    Row(
        do.RequestLog(),
        ("readChanLog",),
        rank=3,
        done=(ev.ChannelLog(ok=True, text="log"),),
        result={"text": "log"},
        refused=((ev.ChannelLog(ok=False), "can't read"),),
    ),
    Row(
        do.SetEmote(emote="LUL", image="https://x.example/l.png"),
        ("updateEmote", {"name": "LUL", "image": "https://x.example/l.png"}),
        ("emoteedit",),
        done=(emote("updated", "LUL"),),
        refused=((error("Emote names and images must not be blank."), "must not be blank"),),
        nothing=(emote("updated", "Kappa"), emote("removed", "LUL")),
    ),
    Row(
        do.RenameEmote(old="LUL", emote="LUL2", image="https://x.example/l.png"),
        ("renameEmote", {"old": "LUL", "name": "LUL2", "image": "https://x.example/l.png"}),
        ("emoteedit",),
        done=(emote("renamed", "LUL2", "LUL"),),
        refused=((error("Emote already exists."), "already exists"),),
        nothing=(emote("renamed", "LUL2", "Kappa"),),
    ),
    Row(
        do.RemoveEmote(emote="LUL"),
        ("removeEmote", {"name": "LUL"}),
        ("emoteedit",),
        done=(emote("removed", "LUL"),),
        nothing=(emote("removed", "Kappa"),),
    ),
    Row(
        do.MoveEmote(position=3, to=0),
        ("moveEmote", {"from": 3, "to": 0}),
        ("emoteedit",),
        nothing=(emote("updated", "LUL"),),
    ),
    Row(
        do.ImportEmotes(emotes=({"name": "A", "image": "x"},)),
        ("importEmotes", [{"name": "A", "image": "x"}]),
        ("emoteimport",),
        done=(ev.ChannelEmotes(()),),
    ),
    Row(
        do.AddFilter(filter="hello", source="x+", replace="y", flags="gi", filter_links=True),
        ("addFilter", {"name": "hello", **BY_FILTER}),
        ("filteredit",),
        done=(ev.ChannelFilterChanged("added"), a_filter("updated", "hello")),
        refused=((error("Filter add failed: Filter 'hello' already exists."), "already exists"),),
        nothing=(a_filter("updated", "other"),),
    ),
    Row(
        do.UpdateFilter(filter="hello", source="x+", replace="y", flags="gi", filter_links=True),
        ("updateFilter", {"name": "hello", **BY_FILTER}),
        ("filteredit",),
        done=(a_filter("updated", "hello"),),
        refused=((error("Invalid regex: missing )"), "Invalid regex"),),
        nothing=(ev.ChannelFilterChanged("added"), a_filter("removed", "hello")),
    ),
    Row(
        do.RemoveFilter(filter="hello"),
        ("removeFilter", {"name": "hello"}),
        ("filteredit",),
        done=(a_filter("removed", "hello"),),
        nothing=(a_filter("removed", "other"),),
    ),
    Row(do.MoveFilter(position=5, to=0), ("moveFilter", {"from": 5, "to": 0}), ("filteredit",)),
    Row(
        do.ImportFilters(filters=({"name": "hello"},)),
        ("importFilters", [{"name": "hello"}]),
        ("filterimport",),
        done=(ev.ChannelFilters(()),),
    ),
)
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def room(*, rank: float = 4, without: str = "", options: dict[str, Any] | None = None) -> Channel:
    """A room in which the bot may do everything but for one node, leads, and sees items 1, 2, 3."""
    nodes = {node: 0.0 for row in ROWS for node in row.needs} | {"seeplaylist": 0.0}
    if without:
        nodes[without] = 99
    channel = Channel()
    for data in (
        ev.ChannelPermissions(nodes),
        ev.PlaylistLocked(locked=True),
        ev.ChannelOptions(options or {}),
        ev.UserList((ev.User(ME, 4), ev.User("alice"), ev.User("bob"))),
        ev.ConnectionJoined("room", ME, rank),
        ev.PlaylistLoaded(tuple(ev.Item(uid, MEDIA) for uid in (1, 2, 3))),
        ev.MediaPlayed(MEDIA),
        ev.UserLeaderChanged("testbot"),
    ):
        channel.apply(data)
    return channel


def judged(row: Row, data: ev.Data) -> Outcome | None:
    """What an event means for the row's action, its error texts included."""
    rule = RULES[type(row.action)]
    if isinstance(data, ev.ErrorMessage) and rule.error(row.frame, data):
        return Outcome("refused", data.text)
    return rule.confirm(row.action, ME, data)


def test_every_action_has_a_rule_and_a_row() -> None:
    """No action is without its place in the table, and none is untested."""
    assert set(RULES) == set(ACTIONS.values()) == {type(row.action) for row in ROWS}


def test_every_event_that_a_bot_can_send_is_an_action() -> None:
    """What CyTube takes from clients is an action, the session's, or not for bots."""
    assert {row.frame[0] for row in ROWS} == set(CLIENT_EVENTS.split()) - SESSIONS - NOT_FOR_BOTS


@each_row
def test_the_frame_is_cytubes(row: Row) -> None:
    """Name and payload are just what CyTube reads; its typed events refuse any other key."""
    assert RULES[type(row.action)].frames(row.action) == (row.frame,)


@each_row
def test_all_that_is_needed_is_enough(row: Row) -> None:
    """With every right that it needs, and no more rank than that, it goes."""
    rule = RULES[type(row.action)]
    assert rule.checked(row.action) == row.action
    assert rule.refusal(row.action, room(rank=max(row.rank or 0, 0))) == ""


@each_row
def test_each_right_is_needed(row: Row) -> None:
    """Without one of its permission nodes, or below its rank, it is refused here, and the reason names it."""
    rule = RULES[type(row.action)]
    assert {*rule.needs, *rule.also(row.action)} == set(row.needs)
    for node in row.needs:
        assert f"permission {node!r}" in rule.refusal(row.action, room(without=node))
    if row.rank is not None:
        assert f"it takes rank {row.rank:g}" in rule.refusal(row.action, room(rank=row.rank - 0.5))


def test_what_earns_a_kick_is_checked() -> None:
    """Whatever CyTube kicks for has a right that is looked at before it is sent."""
    rules = {row.frame[0]: RULES[type(row.action)] for row in ROWS}
    assert {name for name, rule in rules.items() if rule.kicks} == KICKING
    assert all(rules[name].needs or rules[name].rank >= 2 for name in KICKING)


@each_row
def test_what_confirms_it(row: Row) -> None:
    """Its own answer is `done`; what only looks like it says nothing."""
    for data in row.done:
        assert judged(row, data) == Outcome("done", result=row.result), data
    for data in (*row.nothing, ev.StatsUsercount(3), ev.ChannelAnnouncement("x", "y"), error("Something else")):
        assert judged(row, data) is None, data


@each_row
def test_what_refuses_it(row: Row) -> None:
    """CyTube's refusal is told in CyTube's words."""
    name = row.frame[0]
    typed = error(f"Unexpected error for message {name}: Extra key: bogus")
    for data, reason in (*row.refused, (typed, "Extra key")):
        outcome = judged(row, data)
        assert outcome is not None, data
        assert outcome.state == "refused"
        assert reason in outcome.reason


def test_what_is_never_answered_is_said_to_be() -> None:
    """Rows that nothing confirms are marked, and no others."""
    silent = {row.action.name for row in ROWS if RULES[type(row.action)].silent}
    assert silent == {"playlist.clean", "media.uncache", "emote.move", "filter.move"}
    assert not any(row.done for row in ROWS if row.action.name in silent)


@pytest.mark.parametrize(
    ("trace", "action"),
    (
        ("13-motd-css-opts-filters-emotes-perms.jsonl", do.SetCss(css="body{color:red}")),
        ("13-motd-css-opts-filters-emotes-perms.jsonl", do.SetJs(js="console.log(1)")),
    ),
    ids=("css", "js"),
)
def test_code_is_known_by_its_hash(trace: str, action: Action, request: pytest.FixtureRequest) -> None:
    """The hash that a real server told for code is the one that confirms it."""
    told_hashes = [
        ev.ChannelStyle(payload["cssHash"], payload["jsHash"])
        for text in (request.path.parent / "traces" / trace).read_text("utf-8").splitlines()
        if '"in"' in text and (frame := json.loads(text)["frame"]).startswith('42["channelCSSJS"')
        for payload in [json.loads(frame[2:])[1]]
    ]
    assert DONE in [RULES[type(action)].confirm(action, ME, data) for data in told_hashes]


@pytest.mark.parametrize(
    ("action", "reason"),
    (
        (do.SendMessage(text=" \n "), "nothing to say"),
        (do.SendMessage(text="a\n" * 51), "51 lines are too many"),
        (do.SendPm(to="a b", text="x"), "no CyTube name"),
        (do.MuteUser(user="bob\n/clear"), "no CyTube name"),
        (do.KickUser(user="bob /x"), "no CyTube name"),
        (do.BanUser(user=""), "no CyTube name"),
        (do.Drink(text=" /clear"), "can't begin with /"),
        (do.Drink(text="x" * 320), "fit into 320"),
        (do.Drink(count=10001), "-10000 to 10000"),
        (do.CleanPlaylist(pattern=" "), "empty pattern"),
        (do.CleanPlaylist(pattern="x" * 320), "fit into 320"),
        (do.SetRank(user="alice", rank=0), "1 or more"),
        (do.OpenPoll(title="x" * 256, options=("a",)), "255 characters"),
        (do.OpenPoll(title="x", options=()), "1 to 50 options"),
        (do.OpenPoll(title="x", options=("a",) * 51), "not 51"),
        (do.OpenPoll(title="x", options=("",)), "1 to 255"),
        (do.OpenPoll(title="x", options=("a",), timeout=86401), "86400"),
        (do.SetOptions(options={}), "no options"),
        (do.SetPermissions(nodes={}), "no permissions"),
        (do.SetMotd(html="x" * 20001), "20000 characters"),
        (do.SetCss(css="😀" * 10001), "it has 20002"),
        (do.SetEmote(emote="", image="x"), "a name and an image"),
        (do.SetEmote(emote="x", image="x" * 1001), "1000 characters"),
        (do.ImportEmotes(emotes=({"name": "x", "image": "y" * 1_000_000},)), "more than CyTube takes at once"),
        (do.OpenPoll(title="\ud800", options=("a",)), "poll.open: "),
        (do.SendMessage(text=5), "Expected `str`, got `int`"),  # type: ignore[arg-type]  # plugins are not all typed
        (do.SetOptions(options={"x": object()}), "channel.set_options: "),
    ),
)
def test_what_no_room_takes(action: Action, reason: str) -> None:
    """What CyTube would cut, misread or refuse anywhere is refused here, whatever a plugin put into the fields."""
    with pytest.raises(ValueError, match=reason.replace("`", ".")):
        RULES[type(action)].checked(action)


def test_a_long_reason_is_cut() -> None:
    """A kick with a long reason is still one line, and whole characters."""
    ((_, payload),) = RULES[do.KickUser].frames(do.KickUser(user="bob", reason="😀" * 400))
    assert payload["msg"] == "/kick bob " + "😀" * 155


@pytest.mark.parametrize(
    ("action", "reason"),
    (
        (do.SendPm(to="TESTBOT", text="x"), "can't send itself"),
        (do.KickUser(user="nobody"), "not in the room"),
        (do.BanUser(user="testbot"), "can't ban itself"),
        (do.SetRank(user="testbot", rank=1), "its own rank"),
        (do.SetRank(user="alice", rank=5), "below the bot's own"),
        (do.SetLeader(user="nobody"), "not in the room"),
        (do.SetLeader(user="ALICE"), "own capitals, alice"),
        (do.DeleteMedia(uid=7), "no item 7"),
        (do.JumpTo(uid=7), "no item 7"),
        (do.SetTemp(uid=7, temp=True), "no item 7"),
        (do.MoveMedia(uid=1, after=7), "no item 7"),
        (do.MoveMedia(uid=7, after="append"), "no item 7"),
        (do.MoveMedia(uid=1, after=1), "behind itself"),
        (do.SyncMedia(id="other", type="yt", time=1), "does not play"),
    ),
)
def test_what_this_room_does_not_take_now(action: Action, reason: str) -> None:
    """What CyTube would ignore, or take badly, as the room is now."""
    assert reason in RULES[type(action)].refusal(action, room())


def test_only_the_leader_steers() -> None:
    """CyTube ignores others, so they are told at once."""
    channel = room()
    channel.apply(ev.UserLeaderChanged("alice"))
    action = do.SyncMedia(id="abc", type="yt", time=1)
    assert "not the leader" in RULES[do.SyncMedia].refusal(action, channel)


def test_a_moderator_does_not_set_an_admins_options() -> None:
    """CyTube skips them without a word below rank 3."""
    action = do.SetOptions(options={"password": "x", "afk_timeout": 1})
    assert "set password" in RULES[do.SetOptions].refusal(action, room(rank=2))
    assert RULES[do.SetOptions].refusal(action, room(rank=3)) == ""


def test_skipping_may_be_turned_off() -> None:
    """Then a vote says so."""
    channel = room(options={"allow_voteskip": False})
    assert "turned off" in RULES[do.VoteSkipNow].refusal(do.VoteSkipNow(), channel)


def test_an_open_playlist_is_easier() -> None:
    """With the list unlocked the lower of the two nodes counts."""
    channel = room(rank=0)
    channel.apply(ev.ChannelPermissions({"playlistadd": 1.5, "oplaylistadd": -1}))
    action = do.QueueMedia(id="abc", type="yt")
    assert "playlistadd" in RULES[do.QueueMedia].refusal(action, channel)
    channel.apply(ev.PlaylistLocked(locked=False))
    assert RULES[do.QueueMedia].refusal(action, channel) == ""


def test_an_anonymous_bot_says_nothing() -> None:
    """CyTube drops lines of visitors without a word."""
    assert "not logged in" in RULES[do.SendMessage].refusal(do.SendMessage(text="x"), Channel())


def test_toggles_only_toggle_what_is_otherwise() -> None:
    """Where it is so already there is nothing to send."""
    channel = room()
    assert RULES[do.LockPlaylist].already(do.LockPlaylist(locked=True), channel)
    assert not RULES[do.LockPlaylist].already(do.LockPlaylist(locked=False), channel)
    assert RULES[do.SetAway].already(do.SetAway(away=False), channel)
    assert not RULES[do.SetAway].already(do.SetAway(away=True), channel)


@pytest.mark.parametrize(
    ("answer", "said"),
    (
        ([{}], None),
        ({}, None),
        (None, None),
        (b"[{}]", None),
        ([{"error": {"message": "Too many options"}}], "Too many options"),
        ({"error": {"message": ""}}, "CyTube gave no reason"),
        ({"error": "x"}, "x"),
        (b'[{"error":{"message":"no"}}]', "no"),
        (b"junk", None),
    ),
)
def test_an_acknowledgement_is_read(answer: object, said: str | None) -> None:
    """`newPoll` alone is acknowledged, with nothing or with an error."""
    assert complaint(answer) == said
