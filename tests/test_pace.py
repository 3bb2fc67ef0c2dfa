"""How fast a connection may send, with a network between."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core import events as ev
from rosey_core.actions import Action, QueueMedia, SendMessage, SendPm
from rosey_core.channel.channel import Channel
from rosey_core.cytube.bucket import CHAT, Bucket
from rosey_core.cytube.outgoing import RULES
from rosey_core.cytube.pace import Pace

SAY, PM, ME = SendMessage(text="x"), SendPm(to="alice", text="x"), SendMessage(text="x", me=True)
QUEUE = QueueMedia(id="x", type="yt")
FLOOD = {"chat_antiflood": True, "chat_antiflood_params": {"burst": 4, "sustained": 1, "cooldown": 4}}


def channel(rank: float = 1, options: dict[str, object] | None = None) -> Channel:
    """A room of these options, in which the bot has that rank."""
    room = Channel()
    room.apply(ev.ConnectionJoined("room", "TestBot", rank))
    room.apply(ev.ChannelOptions(options or {}))
    return room


def waits(pace: Pace, *actions: Action) -> list[float]:
    """How long each has to wait after the one before, when each leaves as soon as it may and arrives at once."""
    now, result = 0.0, []
    for action in actions:
        rule = RULES[type(action)]
        wait = pace.wait(rule, action, now)
        result.append(round(wait, 2))
        now += wait
        pace.left(rule, action, now)
        pace.answered(rule, now, now)
    return result


def test_twenty_lines_then_ten_a_second() -> None:
    """Chat and private messages share one limit, which a moderator's room does not tighten."""
    pace = Pace(channel(2, FLOOD))
    assert waits(pace, *[SAY, PM] * 10) == [0.0] * 20
    assert pace.wait(RULES[SendPm], PM, 0) == pytest.approx(0.105)


def test_a_rooms_flood_limit_holds_for_chat_only() -> None:
    """Below rank 2 a room may allow four lines and one a second; private messages have the common limit."""
    pace = Pace(channel(1, FLOOD))
    assert waits(pace, SAY, SAY, SAY, SAY, SAY) == [0, 0, 0, 0, 1.05]
    assert pace.wait(RULES[SendPm], PM, 1.05) == 0


def test_action_lines_count_twice() -> None:
    """Ten fill the burst, and the next passes only after the silence."""
    pace = Pace(channel())
    assert waits(pace, *[ME] * 10) == [0.0] * 10
    assert pace.wait(RULES[SendMessage], ME, 0) == pytest.approx(2, abs=0.1)
    assert pace.wait(RULES[SendMessage], SAY, 0) == pytest.approx(0.105)


def test_queueing_has_its_own_limit() -> None:
    """It depends on the rank, and lines do not count."""
    pace = Pace(channel())
    assert waits(pace, SAY, QUEUE, QUEUE, QUEUE, QUEUE) == [0, 0, 0, 0, 1.05]
    moderator = Pace(channel(2))
    assert waits(moderator, *[QUEUE] * 11)[9:] == [0, 0.53]


def test_a_change_of_rank_counts_at_once() -> None:
    """The limit is looked up for each line."""
    room = channel(1, FLOOD)
    pace = Pace(room)
    waits(pace, SAY, SAY, SAY, SAY)
    room.apply(ev.ConnectionRank(2))
    assert pace.wait(RULES[SendMessage], SAY, 0) == 0


def test_what_never_passes_waits_for_ever() -> None:
    """An action line in a room of one line at a time."""
    pace = Pace(channel(1, {"chat_antiflood": True, "chat_antiflood_params": {"burst": 1, "sustained": 1}}))
    assert pace.wait(RULES[SendMessage], ME, 0) == math.inf


def test_a_line_without_answer_may_have_arrived_at_the_last_moment() -> None:
    """So the next keeps its distance from then."""
    pace = Pace(channel(1, FLOOD))
    waits(pace, SAY, SAY, SAY)
    pace.left(RULES[SendMessage], SAY, 0)
    pace.given_up(RULES[SendMessage], 2)
    assert pace.wait(RULES[SendMessage], SAY, 2) == pytest.approx(1.05)


def test_a_line_counts_though_it_left_a_little_early() -> None:
    """Timers are not exact: the next keeps its distance from when it left."""
    pace = Pace(channel())
    waits(pace, *[SAY] * 20)
    pace.left(RULES[SendMessage], SAY, 0.1046)
    assert pace.wait(RULES[SendMessage], SAY, 0.1046) == pytest.approx(0.105)


def test_after_a_cooldown_the_burst_is_gone() -> None:
    """CyTube says that it is too fast, whatever was counted here."""
    pace = Pace(channel())
    pace.too_fast(RULES[SendMessage], 5)
    assert pace.wait(RULES[SendMessage], SAY, 5) == pytest.approx(0.105)


@given(st.lists(st.tuples(st.floats(0, 0.4), st.floats(0, 0.4)), min_size=30, max_size=60), st.floats(0.001, 0.1))
def test_lines_keep_their_distance_at_cytubes_end(lags: list[tuple[float, float]], least: float) -> None:
    """However late single lines and their echoes are, with a quickest way once seen, CyTube drops none."""
    pace, there, now = Pace(channel()), Bucket(), 0.0
    rule = RULES[SendMessage]
    for out, back in [(0.0, 0.0), *lags]:
        now += pace.wait(rule, SAY, now)
        sent = now
        pace.left(rule, SAY, now)
        arrival = now + least + out
        assert there.take(CHAT, arrival)
        now = arrival + least + back
        pace.answered(rule, sent, now)
