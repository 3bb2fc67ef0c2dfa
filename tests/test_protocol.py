"""Every event that CyTube sends has a shape, the shapes are tolerant, and all recorded traffic fits them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rosey_core.cytube import protocol
from rosey_core.cytube.translate import EVENTS, Translator
from rosey_core.cytube.wire import Event
from rosey_core.envelope import NormalizedEvent, decode, encode
from rosey_core.events import Raw, event_type_of

TRACES = sorted((Path(__file__).parent / "traces").glob("*.jsonl"))

# What CyTube 3.86 sends to a client of a room, as its source and a running server have it.
SERVER_EVENTS = re.findall(
    r"\w+",
    """
    chatMsg pm usercount userlist addUser userLeave setUserMeta setAFK setUserRank setUserProfile rank setLeader
    setPermissions setPlaylistLocked channelOpts channelCSSJS setMotd emoteList updateEmote renameEmote removeEmote
    chatFilters updateChatFilter deleteChatFilter addFilterSuccess playlist queue delete moveVideo setTemp
    setPlaylistMeta setCurrent changeMedia mediaUpdate queueFail queueWarn searchResults listPlaylists newPoll
    updatePoll closePoll voteskip clearVoteskipVote drinkCount clearchat kick errorMsg cooldown noflood spamFiltered
    channelRankFail validationError validationPassed costanza banlist banlistRemove channelRanks readChanLog
    announcement needPassword cancelNeedPassword channelNotRegistered warnLargeChandump partitionChange login
""",
)

NO_ARGUMENT = {
    "closePoll", "clearVoteskipVote", "addFilterSuccess", "cancelNeedPassword", "channelNotRegistered"
}  # fmt: skip
BARE = {
    "usercount",
    "rank",
    "setLeader",
    "setPlaylistLocked",
    "setMotd",
    "setCurrent",
    "drinkCount",
    "cooldown",
    "needPassword",
}
MAPS = {"channelOpts", "setPermissions"}


def frames(trace: Path) -> Iterator[Event]:
    """The events of a trace, as the wire would tell them. A polling body may hold several packets."""
    for line in trace.read_text().splitlines():
        entry = json.loads(line)
        if entry["dir"] == "in":
            for packet in str(entry["frame"]).split("\x1e"):
                if packet.startswith("42["):
                    name, *args = msgspec.json.decode(packet[2:], type=list[msgspec.Raw])
                    yield Event(msgspec.json.decode(name, type=str), b",".join(map(bytes, args)))


def test_every_server_event_has_a_row() -> None:
    """The table is complete, and holds nothing else."""
    assert set(EVENTS) == set(SERVER_EVENTS)


def test_every_object_has_a_struct() -> None:
    """Whatever has fields has a typed Struct; only numbers, names, and maps under CyTube's keys have none."""
    for name in set(EVENTS) - NO_ARGUMENT - BARE - MAPS:
        shape = str(EVENTS[name].payload)
        assert "rosey_core.cytube.protocol." in shape, name
    for name in NO_ARGUMENT:
        assert EVENTS[name].payload is Any


def test_traces_are_there() -> None:
    """The recorded traffic is part of the project."""
    assert len(TRACES) > 60


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.stem)
def test_traces_decode(trace: Path) -> None:
    """All that a real server sent is known and decodes, and what it becomes survives the way over the bus."""
    translator = Translator()
    for event in frames(trace):
        drafts = translator.feed(event)
        assert translator.undecodable == 0, event
        assert drafts or event.name == "setAFK"
        for draft in drafts:
            assert not isinstance(draft.data, Raw), event
            kind = event_type_of(draft.data)
            envelope = NormalizedEvent(kind, "cytube", draft.data, draft.time or 0, draft.metadata, "x-1", "x", 1)
            assert decode(encode(envelope)) == envelope


def test_traces_have_most_events() -> None:
    """The traces are no empty proof: nearly every event of the table occurs in them."""
    seen = {event.name for trace in TRACES for event in frames(trace)}
    assert set(EVENTS) - seen == {
        "setUserProfile", "setLeader", "queueWarn", "warnLargeChandump", "partitionChange"
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(EVENTS) - BARE - MAPS - NO_ARGUMENT))
def test_unknown_fields_are_ignored(name: str) -> None:
    """A newer server may say more in any event."""
    for trace in TRACES:
        for event in frames(trace):
            if event.name == name:
                payload = msgspec.json.decode(event.args)
                for one in payload if isinstance(payload, list) else [payload]:
                    one["from the future"] = {"a": [1]}
                translator = Translator()
                translator.feed(Event(name, msgspec.json.encode(payload)))
                assert translator.undecodable == 0
                return


@pytest.mark.parametrize(
    ("name", "args"),
    (
        ("chatMsg", {"username": "bob", "msg": "hi"}),
        ("chatMsg", {"username": "bob", "msg": "hi", "meta": None, "time": 1795475430286.5}),
        ("pm", {"username": "bob", "msg": "hi", "to": "TestBot"}),
        ("addUser", {"name": "bob"}),
        ("addUser", {"name": "bob", "rank": 1.5, "profile": None, "meta": None}),
        ("addUser", {"name": "bob", "rank": None, "profile": {"image": None}, "meta": {"ip": None, "aliases": None}}),
        ("setUserRank", {"name": "bob", "rank": 1.5}),
        ("setUserProfile", {"name": "bob"}),
        ("changeMedia", {"id": "x", "type": "tw", "title": None, "seconds": "--:--", "currentTime": None}),
        ("mediaUpdate", {"currentTime": 0}),
        ("queue", {"item": {"media": {"id": "x", "type": "yt"}, "uid": 3.0}, "after": 2.0}),
        ("setPlaylistMeta", {"count": 1, "rawTime": None, "time": "00:10"}),
        ("queueFail", {"msg": "no", "link": None}),
        ("queueFail", {"msg": "no", "link": "", "id": None}),
        ("kick", {}),
        ("kick", None),
        ("kick", {"reason": None}),
        ("clearchat", None),
        ("login", {"success": False, "error": {"code": "ER_X"}}),
        ("login", {"success": False}),
        ("errorMsg", {}),
        ("setLeader", None),
        ("setMotd", {"motd": "old servers"}),
        ("newPoll", {"title": "t", "options": [], "counts": [], "initiator": None}),
        ("voteskip", {"count": 0, "need": None}),
        ("setPermissions", {"chat": 1.5, "kick": None}),
        ("warnLargeChandump", {"limit": 1048576, "actual": 2000000}),
        ("partitionChange", {"servers": [{"url": "https://a.example", "secure": True}]}),
        ("queueWarn", {"msg": "Blocked in: DE", "link": "https://youtu.be/x"}),
        ("banlist", [{"id": 3}]),
    ),
)
def test_shapes_are_tolerant(name: str, args: object) -> None:
    """Missing fields have defaults, numbers may have fractions, and `null` is taken where servers send it."""
    translator = Translator()
    translator.feed(Event(name, msgspec.json.encode(args)))
    assert translator.undecodable == 0


def test_numbers_are_those_that_javascript_counts() -> None:
    """A number that could not become an `int` of every reader does not decode."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"uid":1e300}', type=protocol.Delete)
    assert msgspec.json.decode(b'{"uid":9007199254740992}', type=protocol.Delete).uid == 2.0**53
