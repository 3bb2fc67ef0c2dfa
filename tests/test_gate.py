"""The connect limit and the waits, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from rosey_core.cytube.ending import Again, Ending
from rosey_core.cytube.gate import Backoff, ConnectGate
from rosey_core.testing.clock import run_virtual


def _end(again: Again, least: float = 0.0) -> Ending:
    return Ending("lost", "why", again, least)


def _high(_: float, high: float) -> float:
    return high


async def _times(gate: ConnectGate, count: int) -> list[float]:
    """When each of `count` connections that all want to go now is let through, in whole seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    times: list[float] = []

    async def one() -> None:
        await gate.take()
        times.append(round(loop.time() - began))

    await asyncio.gather(*(one() for _ in range(count)))
    return times


def test_burst_then_one_in_ten_seconds() -> None:
    """Five go at once, then one in ten seconds, whoever asks."""

    async def main() -> None:
        assert await _times(ConnectGate(), 8) == [0, 0, 0, 0, 0, 10, 20, 30]

    run_virtual(main())


def test_quiet_time_fills_the_gate_to_five() -> None:
    """A long quiet time allows five at once again, and not more."""

    async def main() -> None:
        gate = ConnectGate()
        await _times(gate, 5)
        await asyncio.sleep(20)
        assert await _times(gate, 3) == [0, 0, 10]
        await asyncio.sleep(3600)
        assert await _times(gate, 6) == [0, 0, 0, 0, 0, 10]

    run_virtual(main())


def test_exhausted() -> None:
    """When the server has counted more than we did, all wait for the next turn, also who waits already."""

    async def main() -> None:
        gate = ConnectGate()
        gate.exhausted()
        assert await _times(gate, 2) == [10, 20]
        waiting = asyncio.create_task(_times(gate, 1))
        await asyncio.sleep(5)
        gate.exhausted()
        assert await waiting == [15]

    run_virtual(main())


def test_cancelled_waiter_leaves_its_turn() -> None:
    """Who gives up waiting does not use up a connection."""

    async def main() -> None:
        gate = ConnectGate(burst=1)
        await gate.take()
        waiting = asyncio.create_task(gate.take())
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await _times(gate, 1) == [9]

    run_virtual(main())


def test_no_limit() -> None:
    """`every=0` lets all through."""

    async def main() -> None:
        assert await _times(ConnectGate(every=0), 50) == [0] * 50

    run_virtual(main())


def test_final_ends_have_no_wait() -> None:
    """What is final is not tried again; a move is followed at once."""
    backoff = Backoff(60)
    assert backoff.after(_end(Again.NEVER)) is None
    assert backoff.after(_end(Again.NOW)) == 0


def test_full_jitter_under_a_doubling_ceiling() -> None:
    """The ceiling doubles to its cap; the wait is drawn from zero to there, after what must pass at least."""
    backoff = Backoff(60, base=2, cap=60, draw=_high)
    assert [backoff.after(_end(Again.SOON)) for _ in range(7)] == [2, 4, 8, 16, 32, 60, 60]
    assert backoff.after(_end(Again.SOON, least=10)) == 70
    low = Backoff(60, draw=lambda low, _: low)
    assert [low.after(_end(Again.SOON)) for _ in range(3)] == [0, 0, 0]
    assert low.after(_end(Again.SOON, least=60)) == 60


def test_jitter_is_random() -> None:
    """By default two bots do not wait alike."""
    backoff = Backoff(60, base=60)
    assert len({backoff.after(_end(Again.SOON)) for _ in range(10)}) > 1


def test_thousands_of_failures() -> None:
    """However long a site is away, the wait stays a number under the cap."""
    backoff = Backoff(60, draw=_high)
    for _ in range(3000):
        assert 0 <= (backoff.after(_end(Again.SOON)) or 0) <= 60


def test_limited_waits_grow_with_each_attempt() -> None:
    """Under CyTube's connect limit the wait is 10 seconds for each attempt, and some jitter."""
    backoff = Backoff(60, draw=_high)
    assert [backoff.after(_end(Again.LIMITED, least=10)) for _ in range(3)] == [20, 30, 40]


def test_steady_stay_forgives_failures() -> None:
    """After a minute in the room the waits begin again; a shorter stay changes nothing."""
    backoff = Backoff(60, draw=_high)
    backoff.after(_end(Again.SOON))
    backoff.stayed(59)
    assert backoff.after(_end(Again.SOON)) == 4
    backoff.stayed(60)
    assert backoff.after(_end(Again.SOON)) == 2


def test_kicks_double_up_to_an_hour() -> None:
    """A moderator's kick is waited out as long as the owner says, doubling to an hour; an hour's stay forgives."""
    backoff = Backoff(60)
    waits = [backoff.after(_end(Again.KICKED)) for _ in range(8)]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    backoff.stayed(1800)
    assert backoff.after(_end(Again.KICKED)) == 3600
    backoff.stayed(3600)
    assert backoff.after(_end(Again.KICKED)) == 60
    assert Backoff(60).after(_end(Again.KICKED, least=300)) == 300


@pytest.mark.parametrize("least", (0.0, 300.0))
def test_zero_stays_away(least: float) -> None:
    """`rejoin_after_kick = 0` means that a kick is final."""
    assert Backoff(0).after(_end(Again.KICKED, least)) is None


def test_longer_than_an_hour() -> None:
    """An owner may wait longer than the hour that doubling ends at."""
    backoff = Backoff(7200)
    assert [backoff.after(_end(Again.KICKED)) for _ in range(2)] == [7200, 7200]
