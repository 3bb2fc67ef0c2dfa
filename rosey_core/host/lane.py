"""A lane: the ordered way of events from the daemon to one plugin in one channel.

It owns a bounded queue and one task that hands over lists, one after another, so that order is kept and a slow
plugin hurts itself. It does not know what is at its end: method calls, or a request to another process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from rosey_core.envelope import NormalizedEvent, gap_event
from rosey_core.events import CoreGap
from rosey_core.host.turn import Turn, without_user

LIMIT = 10_000
LIST = 256

Deliver = Callable[[Sequence[NormalizedEvent]], Awaitable[object]]


class Lane:
    """Events on their way to one plugin in one channel.

    Args:
        deliver: is given lists of 1 to 256 events; its return means handled. It must not raise.
        limit: how many events may wait. When one more comes the oldest goes, and a `core.gap` tells how many.
    """

    def __init__(self, deliver: Deliver, *, limit: int = LIMIT) -> None:
        self._turn = Turn(deliver)
        self._limit = limit
        self._waiting: deque[NormalizedEvent] = deque()
        self._gap: list[int] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, event: NormalizedEvent) -> None:
        """Queue an event; never waits."""
        waiting = self._waiting
        if len(waiting) >= self._limit:
            lost = waiting.popleft().seq
            self._gap = [self._gap[0], lost, self._gap[2] + 1] if self._gap else [lost, lost, 1]
            self.dropped += 1
        if not waiting:
            self._idle.clear()
            self._wake.set()
        waiting.append(event)

    async def run(self) -> None:
        """Hand over what waits, until cancelled."""
        while True:
            await self._wake.wait()
            while self._waiting:
                await self._turn.take(self._take())
                # A plugin that never waits must not hold the loop for a whole queue.
                await asyncio.sleep(0)
            self._wake.clear()
            self._idle.set()

    async def forget(self, user: str, seconds: float) -> None:
        """Keep nothing of a user that waits; what the plugin works on just then is waited for, so many seconds."""
        self._waiting = deque(without_user(self._waiting, user))
        await self._turn.over(seconds)

    def close(self) -> None:
        """Forget what waits: nobody will take it."""
        self._waiting.clear()
        self._gap = []
        self._idle.set()

    async def drained(self) -> None:
        """Wait until everything that was put has been handled."""
        await self._idle.wait()

    def _take(self) -> list[NormalizedEvent]:
        waiting = self._waiting
        if self._gap:
            first, last, count = self._gap
            self._gap = []
            head = waiting[0]
            return [gap_event(head.channel, CoreGap(count, first, last), head.timestamp, head.platform)]
        if len(waiting) <= LIST:
            events = list(waiting)
            waiting.clear()
            return events
        return [waiting.popleft() for _ in range(LIST)]
