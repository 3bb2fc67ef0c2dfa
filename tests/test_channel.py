"""The state of a channel: what each event does to it, joins and rejoins."""

from __future__ import annotations

import msgspec
import pytest

from rosey_core import events as ev
from rosey_core.channel.channel import Channel, ChannelSnapshot
from rosey_core.channel.facts import HighWater

ONE, TWO = ev.Media("one", "yt", "One", 60), ev.Media("two", "yt", "Two", 90)
NODES = {"seeplaylist": -1, "chat": 0, "playlistadd": 1.5, "oplaylistadd": 0, "playlistdelete": 2}
ENDS = (ev.ConnectionLost("gone"), ev.ConnectionKicked(""), ev.ConnectionRefused("full"))

JOIN = (
    ev.ConnectionRank(1),
    ev.ConnectionLogin(ok=True, name="Rosey"),
    ev.ChannelPermissions(NODES),
    ev.PlaylistLocked(locked=True),
    ev.ChannelEmotes((ev.Emote("Kappa", "k.png"), ev.Emote(":)", "s.png"))),
    ev.ChannelDrinks(3),
    ev.ChannelMotd("<b>hi</b>", "hi"),
    ev.ChannelOptions({"allow_voteskip": True, "chat_antiflood_params": {"burst": 4}}),
    ev.PlaylistSummary(2, 150),
    ev.PlaylistLoaded((ev.Item(0, ONE, queued_by="bob"), ev.Item(1, TWO))),
    ev.PlaylistCurrent(1),
    ev.PlaylistCurrent(1),
    ev.MediaPlayed(TWO, -3, paused=True, uid=1),
    ev.PollOpened("tea?", ("yes", "no"), ("?", "?"), "bob", 5),
    ev.ConnectionRank(2),
    ev.UserList((ev.User("Rosey", 2), ev.User("bob", 1, afk=True))),
    ev.UserLeaderChanged("bob"),
    ev.StatsUsercount(3, 2),
    ev.ChannelUnregistered(),
    ev.ConnectionJoined("movienight", "Rosey", 2),
)


def channel_after(*events: ev.Data) -> Channel:
    """The channel that these events make."""
    channel = Channel()
    for event in events:
        channel.apply(event)
    return channel


def through_json(channel: Channel) -> Channel:
    """A copy by way of a snapshot, as a worker gets it."""
    return Channel.restore(msgspec.json.decode(msgspec.json.encode(channel.snapshot()), type=ChannelSnapshot))


def test_a_new_channel_is_empty() -> None:
    """Before any event the bot is an anonymous visitor of an empty, locked room."""
    channel = Channel()
    assert (channel.me, channel.my_rank, channel.joined, channel.registered) == ("", -1, False, True)
    assert (len(channel.users), len(channel.playlist), channel.media, channel.poll) == (0, 0, None, None)
    assert not channel.can("chat")


def test_a_join_tells_everything() -> None:
    """In CyTube's order, where the current item comes before the users."""
    channel = channel_after(*JOIN)
    assert (channel.me, channel.my_rank, channel.room, channel.joined) == ("Rosey", 2, "movienight", True)
    assert [user.name for user in channel.users] == ["Rosey", "bob"]
    assert channel.playlist.current == ev.Item(1, TWO)
    assert (channel.media, channel.time, channel.paused) == (TWO, -3, True)
    assert channel.summary == ev.PlaylistSummary(2, 150)
    assert channel.poll is not None
    assert channel.poll.counts == ("?", "?")
    assert (channel.leader, channel.drinks, channel.connected, channel.locked) == ("bob", 3, 3, True)
    assert list(channel.emotes) == ["Kappa", ":)"]
    assert channel.motd.text == "hi"
    assert channel.options["chat_antiflood_params"] == {"burst": 4}
    assert not channel.registered
    assert channel.filters is None
    assert channel.high_water == HighWater(3, 2)


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_connection_empties_everything_but_the_high_water_mark(end: ev.Data) -> None:
    """A rejoin does not say that nothing plays, that there is no poll or leader: away, nothing is known."""
    channel = channel_after(*JOIN)
    users, playlist, permissions = channel.users, channel.playlist, channel.permissions
    channel.apply(end)
    assert channel.high_water == HighWater(3, 2)
    away = msgspec.structs.replace(channel.snapshot().facts, high_water=HighWater())
    assert msgspec.structs.replace(channel.snapshot(), facts=away) == Channel().snapshot()
    assert (channel.users, channel.playlist, channel.permissions) == (users, playlist, permissions)


@pytest.mark.parametrize("end", ENDS)
def test_a_rejoin_makes_the_same_channel_again(end: ev.Data) -> None:
    """Nothing of the time before gets into it."""
    earlier = (ev.UserRankChanged("bob", 3), ev.VoteSkip(1, 2), ev.ChannelFilters((ev.Filter("f"),)))
    assert channel_after(*JOIN, *earlier, end, *JOIN).snapshot() == channel_after(*JOIN).snapshot()


def test_a_login_that_fails_names_nobody() -> None:
    """The bot has the name that CyTube took, in CyTube's capitals."""
    channel = channel_after(ev.ConnectionLogin(ok=False, name="rosey", error="no"))
    assert channel.me == ""
    channel.apply(ev.ConnectionLogin(ok=True, name="Rosey"))
    assert channel.me == "Rosey"


def test_the_bots_own_rank() -> None:
    """It is told on its own and in the list of users, there in any capitals; others' ranks change nothing."""
    channel = channel_after(*JOIN)
    channel.apply(ev.UserRankChanged("bob", 4))
    assert channel.my_rank == 2
    channel.apply(ev.UserRankChanged("ROSEY", 1.5))
    assert (channel.my_rank, channel.users.rank_of("rosey")) == (1.5, 1.5)
    channel.apply(ev.ConnectionRank(3))
    assert channel.my_rank == 3


def test_a_late_login_comes_with_the_global_rank_first() -> None:
    """`user.joined` for the bot itself does not say its rank in the room; what follows does."""
    channel = channel_after(ev.ConnectionLogin(ok=True, name="Rosey"), ev.UserJoined("Rosey", 1))
    channel.apply(ev.ConnectionRank(2))
    assert (channel.my_rank, channel.users.rank_of("Rosey")) == (2, 1)
    channel.apply(ev.UserRankChanged("Rosey", 2))
    assert (channel.my_rank, channel.users.rank_of("Rosey")) == (2, 2)


def test_what_the_bot_may_do() -> None:
    """Its own rank against the node, with the lock of the list."""
    channel = channel_after(ev.ChannelPermissions(NODES), ev.ConnectionRank(1))
    assert (channel.can("chat"), channel.can("playlistadd"), channel.can("kick")) == (True, False, False)
    channel.apply(ev.PlaylistLocked(locked=False))
    assert channel.can("playlistadd")
    assert not channel.locked


@pytest.mark.parametrize("last", (ev.PlaylistLoaded(()), ev.PlaylistSummary(0)))
def test_nothing_plays_when_the_list_was_cleared(last: ev.Data) -> None:
    """CyTube does not say that playback stopped; who may not see the list learns it from the count."""
    channel = channel_after(*JOIN, last)
    assert (channel.media, channel.time, channel.paused) == (None, 0, False)


def test_nothing_plays_when_the_last_item_was_deleted() -> None:
    """While items are left, what plays is told; the last takes it away."""
    channel = channel_after(*JOIN, ev.MediaDeleted(1))
    assert channel.media == TWO
    channel.apply(ev.PlaylistCurrent(0))
    channel.apply(ev.MediaPlayed(ONE, uid=0))
    channel.apply(ev.MediaDeleted(7))
    assert channel.media == ONE
    channel.apply(ev.MediaDeleted(0))
    assert channel.media is None


def test_what_plays_is_known_without_the_list() -> None:
    """Who may not see the list hears of media all the same, and an empty list means nothing then."""
    channel = channel_after(ev.MediaPlayed(ONE, 5), ev.MediaDeleted(3), ev.MediaMoved(1, 2))
    assert (channel.media, channel.time, len(channel.playlist)) == (ONE, 5, 0)


@pytest.mark.parametrize(
    "change",
    (ev.ChannelPermissions(NODES | {"seeplaylist": 3}), ev.ConnectionRank(-2), ev.UserRankChanged("rosey", -2)),
)
def test_a_list_that_may_no_longer_be_seen_is_forgotten(change: ev.Data) -> None:
    """CyTube stops telling of it, so that it would be wrong soon; what plays is still told."""
    channel = channel_after(*JOIN, change)
    assert len(channel.playlist) == 0
    assert channel.media == TWO


def test_a_list_that_may_be_seen_again_stays() -> None:
    """CyTube sends it before the permissions that allow it."""
    items = (ev.Item(5, ONE),)
    hidden = ev.ChannelPermissions(NODES | {"seeplaylist": 3})
    channel = channel_after(*JOIN, hidden, ev.PlaylistLoaded(items), ev.ChannelPermissions(NODES))
    assert tuple(channel.playlist) == items


def test_playback_stands_and_goes() -> None:
    """Times are CyTube's last word, below 0 in the lead-in."""
    channel = channel_after(ev.MediaPlayed(ONE, -3, paused=True), ev.MediaSynced(-0.998, paused=True))
    assert (channel.time, channel.paused) == (-0.998, True)
    channel.apply(ev.MediaResumed(0))
    assert (channel.time, channel.paused) == (0, False)
    channel.apply(ev.MediaSynced(5.001))
    channel.apply(ev.MediaPaused(7))
    assert (channel.media, channel.time, channel.paused) == (ONE, 7, True)


def test_polls() -> None:
    """Hidden counts are strings; the newest counts stand; a new poll replaces, a closed one is gone."""
    channel = channel_after(ev.PollOpened("tea?", ("y", "n"), ("3?", "?"), "bob", 5))
    channel.apply(ev.PollUpdated("tea?", ("y", "n"), (3, 1), "bob", 5))
    assert channel.poll == ev.PollOpened("tea?", ("y", "n"), (3, 1), "bob", 5)
    channel.apply(ev.PollClosed())
    assert channel.poll is None


def test_emotes() -> None:
    """One is added, changed, renamed in its place, removed; unknown ones do no harm."""
    channel = channel_after(*JOIN)

    def change(what: str, name: str, image: str = "", old: str = "") -> list[tuple[str, str]]:
        channel.apply(ev.ChannelEmoteChanged(what, ev.Emote(name, image), old))
        assert all(name == emote.name for name, emote in channel.emotes.items())
        return [(emote.name, emote.image) for emote in channel.emotes.values()]

    assert change("updated", "Kappa", "n.png") == [("Kappa", "n.png"), (":)", "s.png")]
    assert change("updated", "new", "x.png") == [("Kappa", "n.png"), (":)", "s.png"), ("new", "x.png")]
    assert change("renamed", "K", "n.png", "Kappa") == [("K", "n.png"), (":)", "s.png"), ("new", "x.png")]
    assert change("renamed", "new", "s.png", ":)") == [("K", "n.png"), ("new", "s.png")]
    assert change("renamed", "other", "o.png", "gone") == [("K", "n.png"), ("new", "s.png"), ("other", "o.png")]
    assert change("removed", "K") == [("new", "s.png"), ("other", "o.png")]
    assert change("removed", "K") == [("new", "s.png"), ("other", "o.png")]


def test_filters() -> None:
    """They are known after CyTube was asked, and kept up to date from then on."""
    channel = channel_after(ev.ChannelFilterChanged("updated", ev.Filter("a")))
    assert channel.filters is None
    channel.apply(ev.ChannelFilters((ev.Filter("a"), ev.Filter("b"))))
    channel.apply(ev.ChannelFilterChanged("added"))
    channel.apply(ev.ChannelFilterChanged("updated", ev.Filter("c")))
    channel.apply(ev.ChannelFilterChanged("updated", ev.Filter("a", "x")))
    channel.apply(ev.ChannelFilterChanged("removed", ev.Filter("b")))
    channel.apply(ev.ChannelFilterChanged("removed", ev.Filter("b")))
    assert channel.filters == (ev.Filter("a", "x"), ev.Filter("c"))


def test_votes_drinks_and_leader() -> None:
    """Each is the last that was told."""
    channel = channel_after(ev.VoteSkip(1, 2), ev.ChannelDrinks(9), ev.UserLeaderChanged("bob"))
    assert (channel.skip_votes, channel.drinks, channel.leader) == (ev.VoteSkip(1, 2), 9, "bob")
    channel.apply(ev.VoteSkip(0, 0))
    channel.apply(ev.UserLeaderChanged(""))
    assert (channel.skip_votes, channel.leader) == (ev.VoteSkip(0, 0), "")


def test_the_high_water_mark_only_rises() -> None:
    """Connected and logged in are marked each on its own; the connected are never fewer than the users."""
    channel = channel_after(ev.UserJoined("a"), ev.UserJoined("b"))
    assert channel.high_water == (2, 2)
    channel.apply(ev.StatsUsercount(5, 2))
    channel.apply(ev.UserLeft("a"))
    channel.apply(ev.StatsUsercount(4, 1))
    assert (channel.high_water, channel.connected, len(channel.users)) == ((5, 2), 4, 1)
    channel.apply(ev.StatsHighWater(4, 7))
    assert channel.high_water == (7, 7)


def test_events_without_state_change_nothing() -> None:
    """Chat, gaps, raw events and errors leave the channel as it was."""
    channel = channel_after(*JOIN)
    before = channel.snapshot()
    for data in (
        ev.ChatMessage("bob", "hi"),
        ev.ChatPm("bob", "Rosey", "hi"),
        ev.CoreGap(1, 2, 2),
        ev.Raw("mystery", {"a": 1}),
        ev.ErrorMessage("no"),
        ev.VoteSkipCleared(),
        ev.MediaQueueFailed("no"),
        ev.ConnectionPassword("needed"),
        ev.ConnectionMoved(),
    ):
        channel.apply(data)
    assert channel.snapshot() == before


def test_readers_can_change_nothing() -> None:
    """What plugins see of a channel is for reading."""
    channel = channel_after(*JOIN)
    with pytest.raises(AttributeError):
        channel.me = "Mallory"  # type: ignore[misc]  # the very mistake
    with pytest.raises(TypeError):
        channel.options["x"] = 1  # type: ignore[index]  # the same
    with pytest.raises(TypeError):
        channel.emotes["x"] = ev.Emote("x")  # type: ignore[index]  # the same


def test_a_snapshot_loses_nothing_in_json() -> None:
    """Every field of a full channel comes back out of JSON."""
    channel = channel_after(
        *JOIN, ev.VoteSkip(1, 2), ev.ChannelFilters((ev.Filter("f", flags="g"),)), ev.MediaSynced(5.001)
    )
    assert through_json(channel).snapshot() == channel.snapshot()
