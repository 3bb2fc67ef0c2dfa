"""CyTube's limiter, against recordings of the real one and against its rule written a second time."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.cytube.bucket import CHAT, Bucket, Limit, chat_limit, per_second, queue_limit

TRACES = Path(__file__).parent / "traces"
ANTIFLOOD = {"chat_antiflood": True, "chat_antiflood_params": {"burst": 4, "sustained": 1, "cooldown": 4}}


def passed(trace: str, *answers: str) -> list[tuple[float, str, str, bool]]:
    """Each line that the client sent: when, as what, its text, and whether CyTube let it pass."""
    sent, heard = [], []
    for row in (TRACES / trace).read_text("utf-8").splitlines():
        record: dict[str, Any] = json.loads(row)
        if not record["frame"].startswith("42["):
            continue
        name, *args = json.loads(record["frame"][2:])
        if record["dir"] == "out" and name in {"chatMsg", "pm"}:
            sent.append((record["t"], name, args[0]["msg"]))
        elif sent and name in {"chatMsg", "pm", "cooldown", *answers}:
            heard.append(name in {"chatMsg", "pm"} or name in answers)
    return [(*line, ok) for line, ok in zip(sent, heard, strict=True)]


@pytest.mark.parametrize(
    ("trace", "options"),
    (("11b-flood-channel-antiflood.jsonl", ANTIFLOOD), ("25-me-throttled-after-burst.jsonl", {})),
)
def test_it_says_what_cytube_said(trace: str, options: dict[str, Any]) -> None:
    """Each line of a recorded flood passes or is dropped just as the real server did, `/me` counting two."""
    bucket, rows = Bucket(), passed(trace, "spamFiltered")
    turned_off = next((at for at, _, text, _ in rows if text == "new user"), math.inf)
    for at, name, text, ok in rows:
        if text.startswith("link"):
            continue  # the spam filter stands before the limiter
        limit = CHAT if name == "pm" or at >= turned_off else chat_limit(options, 1)
        takes = [bucket.take(limit, at) for _ in range(2 if text.startswith("/me") else 1)]
        assert all(takes) is ok, (at, text)
    assert sum(not ok for *_, ok in rows) >= 6


@pytest.mark.parametrize(
    ("options", "rank", "limit"),
    (
        ({}, 0, Limit(20, 0.1, 2)),
        ({"chat_antiflood": False, "chat_antiflood_params": {"burst": 1, "sustained": 1}}, 0, Limit(20, 0.1, 2)),
        (ANTIFLOOD, 1, Limit(4, 1, 4)),
        (ANTIFLOOD, 1.5, Limit(4, 1, 4)),
        (ANTIFLOOD, 2, Limit(20, 0.1, 2)),
        ({"chat_antiflood": True, "chat_antiflood_params": {"burst": 4, "sustained": 0.5}}, 0, Limit(4, 2, 8)),
        ({"chat_antiflood": True}, 0, Limit(10, 0.5, 5)),
        ({"chat_antiflood": True, "chat_antiflood_params": {"burst": "x", "sustained": None}}, 0, Limit(10, 0.5, 5)),
    ),
)
def test_the_limit_is_of_rank_and_options(options: dict[str, Any], rank: float, limit: Limit) -> None:
    """A room's own flood limit holds below rank 2; what is missing in it has CyTube's defaults."""
    assert chat_limit(options, rank) == limit


def test_queueing_has_limits_of_its_own() -> None:
    """Three at once and one a second below rank 2, ten and two from there on."""
    assert queue_limit(1.5) == Limit(3, 1, 3)
    assert queue_limit(2) == Limit(10, 0.5, 5)


def test_what_was_dropped_changes_nothing() -> None:
    """The distance counts from the last that passed, not from the last that was tried."""
    bucket, limit = Bucket(), per_second(1, 1)
    assert bucket.take(limit, 10.0)
    assert not bucket.take(limit, 10.9)
    assert bucket.take(limit, 11.0)


def test_me_waits_for_the_silence() -> None:
    """Once the burst is used up, two at one moment pass only after the cooldown."""
    bucket = Bucket()
    for _ in range(20):
        assert bucket.take(CHAT, 0.0)
    assert bucket.wait(CHAT, 0.0) == pytest.approx(0.1)
    assert bucket.wait(CHAT, 0.0, cost=2) == pytest.approx(2.0, abs=0.01)


def test_what_never_passes_is_infinite() -> None:
    """Where one line at a time is the limit, two at one moment never pass."""
    assert Bucket().wait(per_second(1, 1), 0.0, cost=2) == math.inf
    bucket = Bucket()
    assert bucket.take(per_second(1, 0), 0.0)
    assert bucket.wait(per_second(1, 0), 5.0) == math.inf


@given(
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from([1, 1, 1, 2])), max_size=60),
    st.integers(2, 20),
    st.floats(0.2, 10),
)
def test_after_its_wait_everything_passes(steps: list[tuple[float, int]], burst: int, sustained: float) -> None:
    """`wait` is never too short, at any pace."""
    bucket, limit, now = Bucket(), per_second(burst, sustained), 0.0
    for pause, cost in steps:
        now += pause
        now += bucket.wait(limit, now, cost)
        assert all(bucket.take(limit, now) for _ in range(cost))


@given(st.integers(0, 20), st.floats(0.1, 10))
def test_a_guarded_limit_is_stricter(burst: int, sustained: float) -> None:
    """The sender's limit keeps a distance from CyTube's in every respect, and still nearly its speed."""
    limit = per_second(burst, sustained)
    guarded = limit.guarded()
    assert guarded.burst == limit.burst
    assert limit.interval < guarded.interval <= 1.06 * limit.interval
    assert guarded.cooldown > limit.cooldown


def test_an_arrival_can_only_be_later() -> None:
    """What is learned of the last arrival moves it on, never back."""
    bucket = Bucket()
    bucket.take(CHAT, 5.0)
    bucket.arrived(4.0)
    assert bucket.last == 5.0
    bucket.arrived(6.0)
    assert bucket.last == 6.0
