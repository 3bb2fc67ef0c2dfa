"""Two bots that answer each other stop by themselves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rosey_core.host.loopguard import LoopGuard


def exchange(guard: LoopGuard, user: str, at: float, delay: float = 0.5) -> bool:
    """`user` says a line, and we want to answer; whether we may."""
    guard.heard(user, at)
    return not guard.may_answer(at + delay)


def test_three_answers_then_silence() -> None:
    """Three quick answers to one user, then none for 60 s, then again."""
    guard = LoopGuard()
    assert [exchange(guard, "OtherBot", t) for t in (0, 1, 2, 3, 4, 30)] == [True, True, True, False, False, False]
    assert guard.silent(30) == {"otherbot": 33.5}
    assert exchange(guard, "otherbot", 64)
    assert guard.silent(64) == {}


def test_somebody_between() -> None:
    """When somebody else speaks between, it is a conversation."""
    guard = LoopGuard()
    for t in range(0, 20, 2):
        assert exchange(guard, "bob", t)
        assert exchange(guard, "alice", t + 1)


def test_slow_talk() -> None:
    """Three answers in more than 10 s are no loop."""
    guard = LoopGuard()
    assert all(exchange(guard, "bob", t) for t in range(0, 60, 4))


def test_late_answers_do_not_count() -> None:
    """An answer later than 2 s is no quick one."""
    guard = LoopGuard()
    assert all(exchange(guard, "bob", t, delay=2.5) for t in (0, 3, 6, 9, 12))


def test_a_long_answer_is_one() -> None:
    """Forty lines in answer to one line are one answer."""
    guard = LoopGuard()
    guard.heard("bob", 0)
    assert not any(guard.may_answer(0.1) for _ in range(40))
    assert exchange(guard, "bob", 1)


def test_own_initiative() -> None:
    """Before anybody spoke, we may speak."""
    assert not LoopGuard().may_answer(5)


@given(st.floats(0.05, 1.9), st.floats(0.05, 1.9))
def test_two_bots_stop(mine: float, theirs: float) -> None:
    """Whatever the two bots' speeds below 2 s, we say at most five lines in a minute when three fit in 10 s."""
    guard, now, said = LoopGuard(), 0.0, 0
    while now < 60:
        guard.heard("other", now)
        if guard.may_answer(now + mine):
            break
        said += 1
        now += mine + theirs
    assert said <= 5 or (mine + theirs) * 3 > 10
