"""The wire: Engine.IO and Socket.IO without sockets or a loop."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.cytube import wire
from rosey_core.cytube.wire import Wire
from rosey_core.errors import SocketIOError
from rosey_core.testing.player import frames

TRACES = Path(__file__).parent / "traces"
# Number 21 is an older protocol and 22 is polling: rosey speaks neither.
RECORDED = tuple(path for path in sorted(TRACES.glob("*.jsonl")) if not path.name.startswith(("21-", "22-")))
OPEN = '0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":120000,"maxPayload":1048576}'
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def connected() -> Wire:
    """A wire whose session stands."""
    protocol = Wire()
    protocol.receive(OPEN)
    protocol.receive('40{"sid":"b"}')
    protocol.data_to_send()
    return protocol


def test_open_is_answered_with_connect() -> None:
    """The transport's opening gives its times in seconds and queues `40`."""
    protocol = Wire()
    assert protocol.receive(OPEN) == wire.Opened("a", 25.0, 120.0)
    assert protocol.data_to_send() == ["40"]
    assert protocol.data_to_send() == []
    assert protocol.silence == pytest.approx(145)


def test_connected_and_refused() -> None:
    """`40` with a sid connects the session, `44` refuses it."""
    protocol = Wire()
    protocol.receive(OPEN)
    assert protocol.receive('40{"sid":"b"}') == wire.Connected("b")
    assert protocol.connected
    other = Wire()
    other.receive(OPEN)
    assert other.receive('44{"message":"Rate limit exceeded"}') == wire.Refused("Rate limit exceeded")
    assert not other.connected


@pytest.mark.parametrize(
    ("frame", "message"),
    (("44", ""), ('44"no"', '"no"'), ("44{}", ""), ('44{"message":7}', '{"message":7}')),
)
def test_refusal_in_any_form(frame: str, message: str) -> None:
    """A refusal is a refusal, whatever its payload looks like."""
    protocol = Wire()
    protocol.receive(OPEN)
    assert protocol.receive(frame) == wire.Refused(message)


def test_events() -> None:
    """An event is its name and the undecoded rest, in the server's spelling and in any other legal one."""
    protocol = connected()
    for frame, name, args in [
        ('42["chatMsg",{"msg":"a,\\"]"}]', "chatMsg", b'{"msg":"a,\\"]"}'),
        ('42["cancelNeedPassword"]', "cancelNeedPassword", b""),
        ('42["closePoll",null]', "closePoll", b"null"),
        ('42["rank",-1]', "rank", b"-1"),
        ('42["two",1,[2]]', "two", b"1,[2]"),
        ('42[ "spaced" , {} ]', "spaced", b"{}"),
        ('42["sp\\u0061ced", 1] ', "spaced", b"1"),
        ('42["quo\\"te",1]', 'quo"te', b"1"),
        ('4217["wantsAck",1]', "wantsAck", b"1"),
        ('42["é",1]', "é", b"1"),
    ]:
        heard = protocol.receive(frame.encode())
        assert isinstance(heard, wire.Event)
        assert (heard.name, heard.args.strip()) == (name, args)
        assert protocol.receive(frame) == heard


def test_ping_is_answered() -> None:
    """A ping of the server is answered with a pong, with the ping's own data."""
    protocol = connected()
    assert protocol.receive("2") is None
    assert protocol.receive("2probe") is None
    assert protocol.data_to_send() == ["3", "3probe"]


def test_packets_without_meaning_for_us() -> None:
    """A pong and a noop mean nothing and do no harm."""
    protocol = connected()
    assert protocol.receive("3") is None
    assert protocol.receive("6") is None
    assert protocol.data_to_send() == []


def test_the_ends() -> None:
    """`41` ends the session and `1` the transport; after either nothing can be sent."""
    protocol = connected()
    assert protocol.receive("41") == wire.Disconnected()
    with pytest.raises(SocketIOError, match="no session"):
        protocol.emit("chatMsg", {})
    # CyTube goes on pinging after it.
    assert protocol.receive("2") is None
    other = connected()
    assert other.receive("1") == wire.Closed()
    assert not other.connected


def test_emit_and_ack() -> None:
    """Events go out as CyTube wants them, each asked-for answer with a number of its own."""
    protocol = connected()
    assert protocol.emit("chatMsg", {"msg": "é", "meta": {}}) is None
    assert protocol.emit("shufflePlaylist") is None
    assert protocol.emit("delete", 5) is None
    assert protocol.emit("newPoll", {"title": "t"}, ack=True) == 0
    assert protocol.emit("newPoll", {}, ack=True) == 1
    assert protocol.data_to_send() == [
        '42["chatMsg",{"msg":"é","meta":{}}]',
        '42["shufflePlaylist"]',
        '42["delete",5]',
        '420["newPoll",{"title":"t"}]',
        '421["newPoll",{}]',
    ]
    assert protocol.receive('431[{"error":{"message":"no"}}]') == wire.Ack(1, b'{"error":{"message":"no"}}')
    assert protocol.receive("430[]") == wire.Ack(0, b"")


def test_emit_before_the_session_is_refused() -> None:
    """An event before the `40` reply would make CyTube drop the transport, so it can't be sent."""
    protocol = Wire()
    with pytest.raises(SocketIOError, match="no session"):
        protocol.emit("joinChannel", {"name": "x"})
    protocol.receive(OPEN)
    with pytest.raises(SocketIOError, match="no session"):
        protocol.emit("joinChannel", {"name": "x"})


@pytest.mark.parametrize("payload", ("\ud800", {1: object()}, object()))
def test_emit_of_what_is_no_json(payload: object) -> None:
    """What can't be JSON is an error of the wire's own, and leaves nothing queued."""
    protocol = connected()
    with pytest.raises(SocketIOError, match="can't be sent as JSON"):
        protocol.emit("chatMsg", payload)
    assert protocol.data_to_send() == []


def test_emit_of_too_much() -> None:
    """A frame longer than the server takes is refused here: CyTube would drop the transport."""
    protocol = connected()
    with pytest.raises(SocketIOError, match="more than the server takes"):
        protocol.emit("setMotd", {"motd": "x" * (1 << 20)})


def test_goodbye() -> None:
    """`leave` says `41` once, and only where there is a session."""
    protocol = connected()
    protocol.leave()
    protocol.leave()
    assert protocol.data_to_send() == ["41"]
    silent = Wire()
    silent.leave()
    assert silent.data_to_send() == []


def test_silence() -> None:
    """The link is dead after ping interval and time-out together without any frame."""
    protocol = Wire(now=1000.0)
    assert protocol.deadline == 1145
    protocol.receive('0{"sid":"a","pingInterval":1000,"pingTimeout":500}')
    protocol.heard(1010.0)
    assert not protocol.dead(1011.4)
    assert protocol.dead(1011.5)
    protocol.heard(1011.4)
    assert not protocol.dead(1012.8)


@pytest.mark.parametrize(
    "frame",
    (
        "", "x", "4", "5", "7", "45-[]", "49", "42", "42{}", "42[", "42[]", "42[1]", '42["x"', '42["x",', '42["x"}',
        "42not json", "43[]", "43", '42/other,["x"]', '40{"sid":', OPEN, "41x", "1x", '42["a',
        "43" + "9" * 5000 + "[]", '42["x"]]', b'42["\xff",1]', b"\xff", "42[" + "[" * 100_000,
    ),
)  # fmt: skip
def test_junk_in_a_session(frame: str | bytes) -> None:
    """Frames that no server may send are the wire's own error."""
    with pytest.raises(SocketIOError):
        connected().receive(frame)


@pytest.mark.parametrize(
    "frame",
    ("40", '42["x"]', "2", "0", "0{}", '0{"sid":"a","pingInterval":0,"pingTimeout":1}', "<html>", '0{"sid":1}'),
)
def test_junk_as_the_first_frame(frame: str) -> None:
    """A server that does not begin by opening the transport is none."""
    with pytest.raises(SocketIOError):
        Wire().receive(frame)


def test_events_outside_a_session() -> None:
    """An event before the session stands, or after its end, is an error."""
    protocol = Wire()
    protocol.receive(OPEN)
    with pytest.raises(SocketIOError, match="outside a session"):
        protocol.receive('42["rank",-1]')
    ended = connected()
    ended.receive("41")
    with pytest.raises(SocketIOError, match="outside a session"):
        ended.receive('42["rank",-1]')


def test_errors_repeat_no_words() -> None:
    """An error's text does not repeat what a frame says: it may be somebody's line, or a secret."""
    for frame in ('42["chatMsg",{"msg":"sesame"}', "9sesame", "42sesame", "4sesame"):
        with pytest.raises(SocketIOError) as caught:
            connected().receive(frame)
        assert "sesame" not in str(caught.value)


pieces = st.sampled_from(
    [
        "0",
        "1",
        "2",
        "3",
        "40",
        "41",
        "42",
        "43",
        "44",
        '["',
        '"]',
        "[",
        "]",
        "{}",
        ",",
        "17",
        '"x"',
        "\\",
        '{"sid":"a"}',
    ]
)


@given(st.lists(st.lists(pieces, max_size=6).map("".join) | st.text() | st.binary(), max_size=8), st.booleans())
def test_no_input_raises_anything_else(said: list[str | bytes], joined: bool) -> None:
    """Whatever a server says, in whatever order: a meaning, nothing, or SocketIOError."""
    protocol = connected() if joined else Wire()
    for frame in said:
        try:
            heard = protocol.receive(frame)
        except SocketIOError:
            continue
        assert heard is None or isinstance(heard, wire.Heard)
        assert all(isinstance(out, str) for out in protocol.data_to_send())


@given(st.text(), st.lists(json_values, max_size=3), st.booleans())
def test_what_one_side_emits_the_other_hears(name: str, args: list[object], compact: bool) -> None:
    """Any name and arguments come through, in any legal spelling of the JSON."""
    body = json.dumps([name, *args], separators=(",", ":") if compact else (" , ", ": "), ensure_ascii=compact)
    try:
        body.encode()
    except UnicodeEncodeError:  # a lone half of a pair is no UTF-8
        return
    heard = connected().receive("42" + body)
    assert isinstance(heard, wire.Event)
    assert heard.name == name
    assert json.loads(b"[" + heard.args + b"]") == args


@pytest.mark.parametrize("trace", RECORDED, ids=lambda path: path.stem)
def test_recorded_traces(trace: Path) -> None:
    """Every frame that a running CyTube sent is understood, and the answers are the recorded ones."""
    protocol = Wire()
    answers: list[str] = []
    for direction, frame in frames(trace):
        if direction == "out":
            continue
        heard = protocol.receive(frame)
        answers += protocol.data_to_send()
        if isinstance(heard, wire.Event) and heard.args:
            msgspec.json.decode(heard.args)
    if answers:
        assert answers[0] == "40"
        assert set(answers[1:]) <= {"3"}
