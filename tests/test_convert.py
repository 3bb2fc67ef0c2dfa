"""Each of CyTube's events in rosey's vocabulary, where one becomes one and nothing needs to be remembered."""

from __future__ import annotations

import msgspec
import pytest

from rosey_core import events
from rosey_core.cytube.convert import bounded, seconds
from rosey_core.cytube.translate import Translator
from rosey_core.cytube.wire import Event
from rosey_core.events import Data

NOW = 1795475430286


def tell(name: str, *args: object) -> Data:
    """The one event that a fresh translator makes, which was decodable."""
    translator = Translator()
    (draft,) = translator.feed(Event(name, msgspec.json.encode(args)[1:-1]))
    assert translator.undecodable == 0
    return draft.data


def media(id: str = "9bZkp7q19f0", type: str = "yt", **more: object) -> dict[str, object]:  # noqa: A002  CyTube's names
    """A medium as CyTube spells it."""
    return {"id": id, "type": type, "title": "PSY", "seconds": 253, "duration": "04:13", "meta": {}, **more}


def item(uid: int, queueby: str = "bob") -> dict[str, object]:
    """A playlist item as CyTube spells it."""
    return {"media": media(), "uid": uid, "temp": True, "queueby": queueby}


ITEM = events.Item(
    3, events.Media("9bZkp7q19f0", "yt", "PSY", 253, "https://youtu.be/9bZkp7q19f0"), temp=True, queued_by="bob"
)
USER = {"name": "bob", "rank": 1.5, "profile": {"image": "i", "text": "t"}, "meta": {"afk": True, "muted": False}}
FILTER = {"name": "bold", "source": "x", "flags": "g", "replace": "y", "active": False, "filterlinks": True}
POLL = {
    "title": "A &amp; B",
    "options": ["&lt;i&gt;", "&#40;d&#41;"],
    "counts": [0, "3?"],
    "initiator": "bob",
    "timestamp": NOW,
}


@pytest.mark.parametrize(
    ("name", "args", "data"),
    (
        ("clearchat", [{"clearedBy": "alice"}], events.ChatCleared("alice")),
        ("clearchat", [], events.ChatCleared("")),
        ("cooldown", [100], events.ChatRefused("cooldown", wait_ms=100)),
        ("noflood", [{"action": "chat", "msg": "muted."}], events.ChatRefused("muted", "muted.")),
        ("noflood", [{"action": "/rank", "msg": "usage"}], events.ChatRefused("syntax", "usage")),
        ("spamFiltered", [{"reason": "NEW_USER_CHAT"}], events.ChatRefused("new_user", "NEW_USER_CHAT")),
        (
            "spamFiltered",
            [{"reason": "NEW_USER_CHAT_LINK"}],
            events.ChatRefused("new_user_link", "NEW_USER_CHAT_LINK"),
        ),
        ("addUser", [USER], events.UserJoined("bob", 1.5, afk=True, image="i", text="t")),
        ("userLeave", [{"name": "bob"}], events.UserLeft("bob")),
        (
            "setUserMeta",
            [{"name": "bob", "meta": {"afk": True, "muted": True}}],
            events.UserMetaChanged("bob", afk=True, muted=True),
        ),
        (
            "setUserMeta",
            [{"name": "bob", "meta": {"smuted": True}}],
            events.UserMetaChanged("bob", shadow_muted=True),
        ),
        ("setUserRank", [{"name": "BOB", "rank": 2, "userrank": 5}], events.UserRankChanged("BOB", 2)),
        (
            "setUserProfile",
            [{"name": "bob", "profile": {"image": "i", "text": "t"}}],
            events.UserProfileUpdated("bob", "i", "t"),
        ),
        ("setLeader", ["bob"], events.UserLeaderChanged("bob")),
        ("setLeader", [""], events.UserLeaderChanged("")),
        ("queue", [{"item": item(3), "after": 2}], events.MediaQueued(ITEM, 2)),
        ("queue", [{"item": item(3), "after": "prepend"}], events.MediaQueued(ITEM, "prepend")),
        ("delete", [{"uid": 3}], events.MediaDeleted(3)),
        ("moveVideo", [{"from": 3, "after": 0}], events.MediaMoved(3, 0)),
        ("moveVideo", [{"from": 3, "after": "append"}], events.MediaMoved(3, "append")),
        ("setTemp", [{"uid": 3, "temp": False}], events.MediaTempChanged(3, temp=False)),
        ("setPlaylistMeta", [{"count": 2, "rawTime": 70, "time": "01:10"}], events.PlaylistSummary(2, 70)),
        ("setPlaylistMeta", [{"count": 2, "time": "01:00:10"}], events.PlaylistSummary(2, 3610)),
        ("setPlaylistLocked", [False], events.PlaylistLocked(locked=False)),
        ("setCurrent", [3], events.PlaylistCurrent(3)),
        (
            "changeMedia",
            [media(type="zz", seconds="--:--")],
            events.MediaPlayed(events.Media("9bZkp7q19f0", "zz", "PSY")),
        ),
        ("mediaUpdate", [{"currentTime": 5.000999, "paused": False}], events.MediaSynced(5.000999)),
        (
            "queueFail",
            [{"msg": "Unknown media type &#39;zz&#39;", "link": None, "id": "x"}],
            events.MediaQueueFailed("Unknown media type 'zz'", "", "x"),
        ),
        ("queueWarn", [{"msg": "blocked", "link": "l"}], events.MediaQueueWarned("blocked", "l")),
        (
            "searchResults",
            [{"source": "library", "results": [{**media(), "meta": "{}"}]}],
            events.MediaFound("library", (ITEM.media,)),
        ),
        (
            "listPlaylists",
            [[{"name": "a", "count": 3, "duration": 485}]],
            events.PlaylistSaved((events.SavedPlaylist("a", 3, 485),)),
        ),
        ("newPoll", [POLL], events.PollOpened("A & B", ("<i>", "(d)"), (0, "3?"), "bob", NOW)),
        ("updatePoll", [POLL], events.PollUpdated("A & B", ("<i>", "(d)"), (0, "3?"), "bob", NOW)),
        ("closePoll", [None], events.PollClosed()),
        ("closePoll", [], events.PollClosed()),
        ("voteskip", [{"count": 1, "need": 2}], events.VoteSkip(1, 2)),
        ("clearVoteskipVote", [], events.VoteSkipCleared()),
        (
            "setPermissions",
            [{"chat": 0, "kick": 1.5, "x": None}],
            events.ChannelPermissions({"chat": 0, "kick": 1.5}),
        ),
        ("setMotd", ["<b>Hi</b><br>&amp; bye"], events.ChannelMotd("<b>Hi</b><br>&amp; bye", "Hi\n& bye")),
        (
            "channelCSSJS",
            [{"css": "abc", "cssHash": "h", "js": "", "jsHash": "j"}],
            events.ChannelStyle("h", "j", 3, 0),
        ),
        (
            "emoteList",
            [[{"name": ":)", "image": "a&amp;amp;b", "source": "s"}]],
            events.ChannelEmotes((events.Emote(":)", "a&b", "s"),)),
        ),
        ("updateEmote", [{"name": "K", "image": "i"}], events.ChannelEmoteChanged("updated", events.Emote("K", "i"))),
        ("renameEmote", [{"name": "K", "old": "L"}], events.ChannelEmoteChanged("renamed", events.Emote("K"), "L")),
        ("removeEmote", [{"name": "K", "image": "i"}], events.ChannelEmoteChanged("removed", events.Emote("K"))),
        (
            "chatFilters",
            [[FILTER]],
            events.ChannelFilters((events.Filter("bold", "x", "g", "y", active=False, filter_links=True),)),
        ),
        ("updateChatFilter", [{"name": "b"}], events.ChannelFilterChanged("updated", events.Filter("b"))),
        ("deleteChatFilter", [{"name": "b"}], events.ChannelFilterChanged("removed", events.Filter("b"))),
        ("addFilterSuccess", [], events.ChannelFilterChanged("added")),
        (
            "announcement",
            [{"id": "1", "title": "T", "text": "<b>x</b>", "from": "R"}],
            events.ChannelAnnouncement("T", "<b>x</b>", "x", "R"),
        ),
        ("drinkCount", [3], events.ChannelDrinks(3)),
        ("banlistRemove", [{"id": 5, "name": "dave"}], events.ChannelBanRemoved(5, "dave")),
        (
            "channelRanks",
            [[{"name": "a", "rank": 5, "channel": "c"}]],
            events.ChannelRanks((events.ChannelRank("a", 5),)),
        ),
        ("validationPassed", [{"target": "#cs-x"}], events.ChannelValidated("#cs-x")),
        ("channelNotRegistered", [], events.ChannelUnregistered()),
        ("warnLargeChandump", [{"limit": 1, "actual": 2}], events.ChannelTooLarge(1, 2)),
        ("usercount", [7], events.StatsUsercount(7)),
        ("login", [{"success": True, "name": "TestBot"}], events.ConnectionLogin(ok=True, name="TestBot")),
        (
            "login",
            [{"success": True, "name": "g", "guest": True}],
            events.ConnectionLogin(ok=True, name="g", guest=True),
        ),
        ("login", [{"success": False, "error": "no"}], events.ConnectionLogin(ok=False, error="no")),
        ("login", [{"success": False, "error": {"message": "db"}}], events.ConnectionLogin(ok=False, error="db")),
        (
            "login",
            [{"success": False, "error": 3}],
            events.ConnectionLogin(ok=False, error="the server gave no reason"),
        ),
        ("rank", [1.5], events.ConnectionRank(1.5)),
        ("needPassword", [False], events.ConnectionPassword("needed")),
        ("needPassword", [True], events.ConnectionPassword("wrong")),
        ("cancelNeedPassword", [], events.ConnectionPassword("accepted")),
        ("kick", [{"reason": "bye"}], events.ConnectionKicked("bye")),
        ("kick", [{}], events.ConnectionKicked("")),
        ("kick", [{"reason": None}], events.ConnectionKicked("")),
        ("kick", [None], events.ConnectionKicked("")),
        ("kick", [], events.ConnectionKicked("")),
        ("partitionChange", [{"servers": [{"url": "u", "secure": True}]}], events.ConnectionMoved(("u",))),
        ("partitionChange", [], events.ConnectionMoved()),
        (
            "errorMsg",
            [{"msg": "no", "alert": True, "code": "C"}],
            events.ErrorMessage("no", "errorMsg", "C", alert=True),
        ),
        ("errorMsg", [{"msg": {"sql": "x"}}], events.ErrorMessage("", "errorMsg")),
        ("channelRankFail", [{"msg": "no"}], events.ErrorMessage("no", "channelRankFail")),
        ("costanza", [{"msg": "no"}], events.ErrorMessage("no", "costanza")),
        (
            "validationError",
            [{"target": "#x", "message": "no"}],
            events.ErrorMessage("no", "validationError", target="#x"),
        ),
    ),
)
def test_one_event_becomes_one(name: str, args: list[object], data: Data) -> None:
    """Each of CyTube's events in rosey's vocabulary."""
    assert tell(name, *args) == data


@pytest.mark.parametrize(
    ("value", "expected"),
    (
        (None, 0),
        (3.5, 3.5),
        ("--:--", 0),
        ("01:10", 70),
        ("100:00:01", 360001),
        ("", 0),
        ("\u0663", 0),
        ("9" * 5000, 0),
    ),
)
def test_lengths(value: float | str | None, expected: float) -> None:
    """A length is a number or CyTube's text for it; live media and nonsense have none."""
    assert seconds(value) == expected


def test_options_are_bounded() -> None:
    """Options keep their shape, but for what is nested too deep."""
    assert bounded({"a": [1, {"b": "c"}]}) == {"a": [1, {"b": "c"}]}
    assert bounded([[[]]], depth=2) == [[None]]
