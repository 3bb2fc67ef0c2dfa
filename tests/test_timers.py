"""Time in the simulated CyTube: limits as CyTube counts them, and the slowed-down user count."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.testing.timers import Limiter, LoopTimers, ManualTimers, Throttled


def accepted(times: list[float], burst: int, sustained: float, cooldown: float | None = None) -> list[float]:
    """The uses that a limiter lets through."""
    limiter = Limiter()
    return [time for time in times if not limiter.refuses(time, burst, sustained, cooldown)]


def test_a_burst_then_a_steady_rate_then_a_new_burst() -> None:
    """Four at once pass, then one a second, and after a silence of more than four seconds four more."""
    times = [0.0] * 6 + [0.5, 1.0, 1.5, 2.0] + [6.5] * 5
    assert accepted(times, 4, 1) == [0.0] * 4 + [1.0, 2.0] + [6.5] * 4


@given(st.lists(st.floats(0, 100), max_size=60).map(sorted), st.integers(1, 20), st.sampled_from([0.5, 1.0, 10.0]))
def test_no_silence_no_second_burst(times: list[float], burst: int, sustained: float) -> None:
    """Between two silences never more passes than the burst and the steady rate allow."""
    passed = accepted(times, burst, sustained)
    runs: list[list[float]] = []
    for time in passed:
        if runs and time - runs[-1][-1] <= burst / sustained:
            runs[-1].append(time)
        else:
            runs.append([time])
    for run in runs:
        assert len(run) <= burst + (run[-1] - run[0]) * sustained + 1e-6


def test_throttled_calls_at_once_and_once_more_at_the_end() -> None:
    """The first call is made at once; those that follow become one, at the end of the period."""
    timers = ManualTimers()
    calls: list[float] = []
    ask = Throttled(timers, 10, lambda: calls.append(timers.now()))
    for time in (1, 2, 3):
        timers.advance(time)
        ask()
    assert calls == [1]
    timers.advance(60)
    assert len(calls) == 2
    assert 11 <= calls[1] <= 13
    ask()
    assert calls[2:] == [60]


def test_throttled_forgets_what_is_cancelled() -> None:
    """After `cancel` the call that was owed is not made."""
    timers = ManualTimers()
    calls: list[float] = []
    ask = Throttled(timers, 10, lambda: calls.append(timers.now()))
    ask()
    ask()
    ask.cancel()
    timers.advance(100)
    assert calls == [0]


def test_manual_timers_call_each_at_its_own_time() -> None:
    """Calls come in the order of their times, also those that are made meanwhile; cancelled ones do not."""
    timers = ManualTimers(start_ms=1000)
    seen: list[tuple[str, float]] = []
    timers.later(3, lambda: seen.append(("c", timers.now())))
    timers.later(1, lambda: timers.later(1, lambda: seen.append(("b", timers.now()))))
    timers.later(2.5, lambda: seen.append(("never", timers.now()))).cancel()
    timers.advance(5)
    assert seen == [("b", 2), ("c", 3)]
    assert timers.now() == pytest.approx(5)
    assert timers.wall_ms() == 6000


async def test_loop_timers_report_faults_and_stop() -> None:
    """What a call raises is reported, and after `stop` no call is made."""
    faults: list[Exception] = []
    timers = LoopTimers(faults.append)
    reported = asyncio.Event()

    def fail() -> None:
        asyncio.get_running_loop().call_soon(reported.set)
        raise LookupError("no")

    timers.later(0, fail)
    await asyncio.wait_for(reported.wait(), 5)
    assert [str(fault) for fault in faults] == ["no"]
    timers.later(0, lambda: faults.append(ValueError("called")))
    timers.stop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(faults) == 1
