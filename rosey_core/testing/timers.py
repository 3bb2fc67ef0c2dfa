"""Time for the simulated CyTube, and what is counted in it: timers, rate limits, the slowed-down user count.

Everything here takes its time from a `Timers`: the running event loop (`LoopTimers`), or a clock that a test moves
by hand (`ManualTimers`), so that the rules of a room can be replayed without waiting.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

Call = Callable[[], object]


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Forget it."""


class Timers(Protocol):
    """Where time comes from. Durations and `now()` are seconds."""

    def now(self) -> float:
        """A clock that only goes forward."""

    def wall_ms(self) -> int:
        """The time of day: UTC milliseconds, as CyTube writes them."""

    def later(self, delay: float, call: Call) -> Timer:
        """Call `call` after `delay`."""


class LoopTimer:
    """One call that an event loop will make."""

    __slots__ = ("_all", "_call", "_handle", "_report")

    def __init__(self, delay: float, call: Call, timers: set[LoopTimer], report: Callable[[Exception], None]) -> None:
        self._call = call
        self._all = timers
        self._report = report
        self._handle = asyncio.get_running_loop().call_later(delay, self._fire)
        timers.add(self)

    def cancel(self) -> None:
        """Forget the call."""
        self._handle.cancel()
        self._all.discard(self)

    def _fire(self) -> None:
        self._all.discard(self)
        try:
            self._call()
        except Exception as error:
            self._report(error)


class LoopTimers:
    """The time of the running event loop. `report` is told what a timer's call raised."""

    def __init__(self, report: Callable[[Exception], None]) -> None:
        self._timers: set[LoopTimer] = set()
        self._report = report

    def now(self) -> float:
        """The loop's own clock."""
        return asyncio.get_running_loop().time()

    def wall_ms(self) -> int:
        """The time of day."""
        return int(time.time() * 1000)

    def later(self, delay: float, call: Call) -> LoopTimer:
        """Call `call` after `delay` seconds, unless the timers are stopped before."""
        return LoopTimer(delay, call, self._timers, self._report)

    def stop(self) -> None:
        """Forget all calls that are to come."""
        for timer in tuple(self._timers):
            timer.cancel()


class ManualTimer:
    """One call that `ManualTimers.advance` will make."""

    __slots__ = ("call",)

    def __init__(self, call: Call | None) -> None:
        self.call = call

    def cancel(self) -> None:
        """Forget the call."""
        self.call = None


class ManualTimers:
    """A clock that stands still until `advance` moves it. `start_ms` is the time of day at 0 seconds."""

    def __init__(self, start_ms: int = 1_795_000_000_000) -> None:
        self._now = 0.0
        self._start_ms = start_ms
        self._order = count()
        self._heap: list[tuple[float, int, ManualTimer]] = []

    def now(self) -> float:
        """How far the clock was moved."""
        return self._now

    def wall_ms(self) -> int:
        """The time of day that belongs to `now`."""
        return self._start_ms + round(self._now * 1000)

    def later(self, delay: float, call: Call) -> ManualTimer:
        """Call `call` when `advance` passes `delay` seconds from now."""
        timer = ManualTimer(call)
        heapq.heappush(self._heap, (self._now + delay, next(self._order), timer))
        return timer

    def advance(self, until: float) -> None:
        """Move the clock to `until`, making each call at its own time."""
        while self._heap and self._heap[0][0] <= until:
            due, _, timer = heapq.heappop(self._heap)
            self._now = max(self._now, due)
            if timer.call is not None:
                timer.call()
        self._now = max(self._now, until)


class Limiter:
    """CyTube's limiter of chat lines, queued media and requests (sync `src/utilities.js`).

    A silence of `cooldown` seconds starts a new burst; after `burst` uses, one more is allowed each
    `1 / sustained` seconds. It refuses, it never waits.
    """

    __slots__ = ("_count", "_last")

    def __init__(self) -> None:
        self._count = 0
        self._last = float("-inf")

    def refuses(self, now: float, burst: float, sustained: float, cooldown: float | None = None) -> bool:
        """Whether one more use is too much at `now`."""
        if cooldown is None:
            cooldown = burst / sustained
        if self._last < now - cooldown:
            self._count = 1
        elif self._count < burst:
            self._count += 1
        elif sustained <= 0 or now - self._last < 1 / sustained:
            return True
        self._last = now
        return False


class Throttled:
    """Calls at once, then at most once a `period`, and once more at its end if it was asked meanwhile.

    It is how CyTube tells how many people are there, down to when the waiting begins anew.
    """

    def __init__(self, timers: Timers, period: float, call: Call) -> None:
        self._timers = timers
        self._period = period
        self._call = call
        self._asked = float("-inf")
        self._called = float("-inf")
        self._owed = False
        self._timer: Timer | None = None

    def __call__(self) -> None:
        """Ask for a call."""
        now = self._timers.now()
        due = self._is_due(now)
        self._asked = now
        self._owed = True
        if due:
            self._invoke(now)
        if self._timer is None:
            self._timer = self._timers.later(self._period, self._expire)

    def cancel(self) -> None:
        """Forget a call that is to come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_due(self, now: float) -> bool:
        # An event loop's clock may be a hair early: a call that is due then must not wait another round.
        period = self._period - 0.001
        return now - self._asked >= period or now - self._called >= period

    def _invoke(self, now: float) -> None:
        self._called = now
        self._owed = False
        self._call()

    def _expire(self) -> None:
        now = self._timers.now()
        if not self._is_due(now):
            left = self._period - max(now - self._asked, now - self._called)
            self._timer = self._timers.later(left, self._expire)
            return
        self._timer = None
        if self._owed:
            self._invoke(now)
