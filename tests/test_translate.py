"""What each of CyTube's events becomes, what it must not tell, and that no input raises."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rosey_core import events
from rosey_core.cytube.translate import EVENTS, Address, Draft, Translator
from rosey_core.cytube.wire import Event
from rosey_core.events import EVENT_TYPES, Data, Raw, event_type_of

TRACES = sorted((Path(__file__).parent / "traces").glob("*.jsonl"))
NOW = 1795475430286


def feed(translator: Translator, name: str, *args: object) -> list[Draft]:
    """What the translator makes of an event with these arguments."""
    return translator.feed(Event(name, msgspec.json.encode(args)[1:-1]))


def tell(name: str, *args: object) -> Data:
    """The one event that a fresh translator makes, which was decodable."""
    translator = Translator()
    (draft,) = feed(translator, name, *args)
    assert translator.undecodable == 0
    return draft.data


def chat(translator: Translator, msg: str = "hi", username: str = "bob", meta: object = None) -> Draft:
    """What a line of chat becomes."""
    (draft,) = feed(translator, "chatMsg", {"username": username, "msg": msg, "meta": meta, "time": NOW})
    return draft


USER = {"name": "bob", "rank": 1.5, "profile": {"image": "i", "text": "t"}, "meta": {"afk": True, "muted": False}}


def test_set_afk_tells_nothing() -> None:
    """It repeats the setUserMeta before it, so that it would tell one change twice."""
    translator = Translator()
    assert feed(translator, "setAFK", {"name": "bob", "afk": True}) == []
    assert translator.undecodable == 0


def test_half_an_emoji() -> None:
    """CyTube cuts a line between the halves of an emoji; it is read all the same, and nothing else changes."""
    translator = Translator()
    args = rb'{"username":"bob","msg":"\ud83d\ude00 \\ud83d \"x\" \ud83d","meta":{},"time":1}'
    (draft,) = translator.feed(Event("chatMsg", args))
    assert isinstance(draft.data, events.ChatMessage)
    assert draft.data.text == '\N{GRINNING FACE} \\ud83d "x" \N{REPLACEMENT CHARACTER}'
    assert translator.undecodable == 0


def test_more_arguments_than_one() -> None:
    """The first argument counts."""
    assert tell("rank", 3, "from the future") == events.ConnectionRank(3)


# --- what stays inside -------------------------------------------------------------------------------------


def encoded(drafts: list[Draft]) -> str:
    """All that could leave, as one text."""
    return msgspec.json.encode(drafts).decode()


def test_password_stays_inside() -> None:
    """The room's password is kept for the session, and is in no event, no repr, no other spelling."""
    translator = Translator()
    drafts = feed(
        translator,
        "channelOpts",
        {"password": "hunter2", "Old_Password": "hunter2", "pagetitle": "x", "p": {"burst": 4}},
    )
    assert [draft.data for draft in drafts] == [events.ChannelOptions({"pagetitle": "x", "p": {"burst": 4}})]
    assert translator.room_password == "hunter2"
    assert "hunter2" not in repr(translator)
    feed(translator, "channelOpts", {"password": False})
    assert translator.room_password == ""


MOD_META = {"afk": False, "muted": False, "smuted": False, "aliases": ["bob", "robert"], "ip": "LVe.xZQ.D0l.Iog"}


def test_addresses_stay_inside() -> None:
    """Where users come from is known inside, by lower-case name, as long as they are there."""
    translator = Translator()
    address = Address("LVe.xZQ.D0l.Iog", ("bob", "robert"))
    drafts = feed(translator, "userlist", [{**USER, "name": "Bob", "meta": MOD_META}])
    assert translator.addresses == {"bob": address}
    drafts += feed(translator, "userLeave", {"name": "BOB"})
    assert translator.addresses == {}
    drafts += feed(translator, "addUser", {**USER, "meta": MOD_META})
    assert translator.addresses == {"bob": address}
    translator.joining()
    assert translator.addresses == {}
    drafts += feed(translator, "setUserMeta", {"name": "bob", "meta": MOD_META})
    assert translator.addresses == {"bob": address}
    feed(translator, "userlist", [USER])
    assert translator.addresses == {}
    assert not re.search("LVe|robert|alias", encoded(drafts))


def test_server_lines_tell_no_address() -> None:
    """CyTube tells moderators aliases and addresses in chat; text and HTML are cut, users' own words are not."""
    translator = Translator()
    joined = chat(translator, "bob joined (aliases: bob,robert)", "[server]", {"addClass": "server-whisper"}).data
    assert joined == events.ChatMessage("[server]", "bob joined", "bob joined", NOW, "server")
    banned = chat(translator, "TestBot banned LVe.xZQ.TBV.NbF (dave)", "[server]").data
    assert isinstance(banned, events.ChatMessage)
    assert banned.text == banned.html == "TestBot banned [address] (dave)"
    said = chat(translator, "join 192.0.2.7 (aliases: x)").data
    assert isinstance(said, events.ChatMessage)
    assert said.text == "join 192.0.2.7 (aliases: x)"


def test_errors_tell_no_address() -> None:
    """`/ipban` answers with the address."""
    assert tell("errorMsg", {"msg": "LVe.xZQ.TBV.NbF is already banned"}) == events.ErrorMessage(
        "[address] is already banned"
    )
    assert tell("errorMsg", {"msg": "You don't have permission to ban IP 192.0.2.1"}) == events.ErrorMessage(
        "You don't have permission to ban IP [address]"
    )


def test_ban_list_tells_no_address() -> None:
    """Only whether a row holds one."""
    rows = [
        {"id": 5, "ip": "LVe.xZQ.TBV.NbF", "name": "dave", "reason": "as 192.0.2.7", "bannedby": "TestBot"},
        {"id": 7, "ip": "*", "name": "dave", "reason": "", "bannedby": "TestBot"},
    ]
    assert tell("banlist", rows) == events.ChannelBans(
        (events.Ban(5, "dave", "as [address]", "TestBot", by_address=True), events.Ban(7, "dave", "", "TestBot"))
    )


def test_log_tells_no_address() -> None:
    """The room's log is full of both."""
    log = "half.a.line\n[x] [login] LVe.xZQ.D0l.Ni2 logged in as bob (aliases: bob,robert)\n[x] <bob> hi"
    assert tell("readChanLog", {"success": True, "data": log}) == events.ChannelLog(
        ok=True, text="[x] [login] [address] logged in as bob\n[x] <bob> hi"
    )
    assert tell("readChanLog", {"success": False}) == events.ChannelLog(ok=False)


@pytest.mark.parametrize(
    ("name", "args"),
    (
        ("channelOpts", [["password", "hunter2"]]),
        ("userlist", [[{"name": 3, "meta": MOD_META}]]),
        ("addUser", [{"meta": MOD_META}]),
        ("setUserMeta", [{"meta": MOD_META}]),
        ("banlist", [[{"id": "x", "ip": "LVe.xZQ.D0l.Iog"}]]),
        ("readChanLog", [{"data": "LVe.xZQ.D0l.Iog (aliases: robert)"}]),
        ("login", [{"success": "LVe.xZQ.D0l.Iog", "error": "hunter2"}]),
    ),
)
def test_undecodable_secrets_are_dropped(name: str, args: list[object]) -> None:
    """A payload of an unknown shape tells nothing, where the event may hold what must stay inside."""
    translator = Translator()
    assert feed(translator, name, *args) == [Draft(Raw(name))]
    assert translator.undecodable == 1


def test_undecodable_events_are_told_raw() -> None:
    """Other payloads of an unknown shape are told as they came, and counted."""
    translator = Translator()
    (draft,) = feed(translator, "chatMsg", {"username": "bob", "msg": 3})
    assert draft.data == Raw("chatMsg", [{"username": "bob", "msg": 3}])
    assert event_type_of(draft.data) == "raw.chatMsg"
    (draft,) = feed(
        translator, "chatMsg", {"username": "[server]", "msg": ["bob joined (aliases: robert)", "192.0.2.1"]}
    )
    assert draft.data == Raw("chatMsg", [{"username": "[server]", "msg": ["bob joined", "[address]"]}])
    assert translator.undecodable == 2


def test_unknown_events_are_raw() -> None:
    """What has no row is told with its arguments, less what may be secret; it is not counted."""
    translator = Translator()
    (draft,) = feed(translator, "coins", {"name": "bob", "meta": MOD_META, "n": 3}, "x")
    told = {"name": "bob", "meta": {"afk": False, "muted": False, "smuted": False}, "n": 3}
    assert draft.data == Raw("coins", [told, "x"])
    assert event_type_of(draft.data) == "raw.coins"
    assert feed(translator, "coins") == [Draft(Raw("coins", []))]
    assert translator.feed(Event("coins", b"{broken")) == [Draft(Raw("coins", None))]
    assert translator.undecodable == 0


def secrets(value: Any, found: set[str]) -> None:
    """Collect each address, each list of two aliases or more, and each password in a payload."""
    if isinstance(value, list):
        for one in value:
            secrets(one, found)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in {"ip", "password"} and isinstance(one, str) and one != "*":
                found.add(one)
            elif key == "aliases":
                found.add(f"aliases: {','.join(one)}")
                found.add(json.dumps(one, separators=(",", ":")))
            else:
                secrets(one, found)


def test_no_trace_tells_a_secret() -> None:
    """In all that a real server sent to moderators, nothing that must stay inside gets out."""
    found: set[str] = set()
    told: list[str] = []
    for trace in TRACES:
        translator = Translator()
        for line in trace.read_text().splitlines():
            entry = json.loads(line)
            frame = str(entry["frame"])
            if entry["dir"] == "in" and frame.startswith("42["):
                name, *args = json.loads(frame[2:])
                secrets(args, found)
                told.append(encoded(feed(translator, name, *args)))
                assert translator.undecodable == 0
    assert len(found) > 40
    everything = "\n".join(told)
    assert [secret for secret in found if secret in everything] == []
    assert not re.search(r'aliases|"ip"|password"', everything)
    # The log holds addresses of users who were in no user list that the bot saw.
    log = next(text for text in told if "[init] Loaded channel" in text)
    assert log.count("[address]") > 100
    assert not re.search(r"[\w+/]{3}(\.[\w+/]{3}){3}", log)


# --- no input raises ---------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["prepend", "[server]", "bob", "<a href='x'>&amp;", "LVe.xZQ.D0l.Iog", "--:--", "01:00"])
)
KEYS = st.text(max_size=5) | st.sampled_from(
    re.findall(
        r"\w+",
        """username msg meta time to name rank profile image text afk muted smuted aliases ip uid item media
        after from temp id type title seconds currentTime paused count rawTime options counts initiator
        timestamp success error reason addClass action shadow password servers url data results source old
        need message target""",
    )
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=12
)
NAMES = st.sampled_from(sorted(EVENTS)) | st.text(max_size=10)
RECORDED = [
    (str(frame[0]), frame[1:])
    for trace in TRACES
    if trace.stat().st_size < 60_000
    for line in trace.read_text().splitlines()
    if '"dir": "in", "frame": "42[' in line
    for frame in [json.loads(json.loads(line)["frame"][2:])]
]


def check(translator: Translator, event: Event) -> None:
    """Feed it; what comes must go over the bus and back."""
    for draft in translator.feed(event):
        assert event_type_of(draft.data) in EVENT_TYPES or isinstance(draft.data, Raw)
        assert msgspec.json.decode(msgspec.json.encode(draft.data), type=type(draft.data)) == draft.data
        assert draft.time is None or abs(draft.time) <= 2.0**53


@given(st.lists(st.tuples(NAMES, JSON), max_size=5))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_is_taken(told: list[tuple[str, object]]) -> None:
    """Arbitrary JSON under every name makes drafts and raises nothing."""
    translator = Translator()
    translator.joining()
    for name, payload in told:
        check(translator, Event(name, msgspec.json.encode(payload)))


@given(NAMES, st.binary(max_size=30) | st.text(alphabet='{}[]",:\\ud8aef01null-.', max_size=30).map(str.encode))
@settings(deadline=None)
def test_any_bytes_are_taken(name: str, args: bytes) -> None:
    """What is no JSON, or no UTF-8, raises nothing either."""
    check(Translator(), Event(name, args))


@given(st.sampled_from(RECORDED), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_recorded_events_may_be_bent(recorded: tuple[str, list[Any]], data: st.DataObject) -> None:
    """A real event with one value replaced by another raises nothing, and its secrets still stay inside."""
    name, args = recorded
    args = json.loads(json.dumps(args))
    found: set[str] = set()
    secrets(args, found)
    place: Any = args
    while place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], list | dict) or data.draw(st.integers(0, 3)) == 0:
            place[key] = data.draw(JSON)
            break
        place = place[key]
    translator = Translator()
    event = Event(name, msgspec.json.encode(args)[1:-1])
    check(translator, event)
    everything = encoded(translator.feed(event))
    assert not [
        secret for secret in found if len(secret) > 3 and secret in everything and secret != "LVe.xZQ.D0l.Iog"
    ]


def test_too_deep_json_is_taken() -> None:
    """Nesting beyond what a reader takes is no exception."""
    translator = Translator()
    for name in ("chatMsg", "channelOpts", "coins", "userlist"):
        check(translator, Event(name, b"[" * 100_000 + b"]" * 100_000))
        check(translator, Event(name, b'{"x":' + b"[" * 500 + b"]" * 500 + b"}"))
