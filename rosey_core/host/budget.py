"""Budgets: how long a plugin's call may take.

Each call leaves a busy stamp, and one ticker for all looks at them. An `asyncio.timeout` around each call costs
more than receiving the frame did. When the loop itself was late, the loop is charged and not the plugin; while a
plugin waits for `ctx` (a receipt, another plugin) nobody is.
"""

from __future__ import annotations

import asyncio
from typing import Any

TICK = 0.1


class Call:
    """One call under way, or the place for one: a lane reuses its own.

    Attributes:
        since: loop time at which the running call began, moved on by lag; 0 when nothing runs.
        overdue: the ticker cancelled it.
    """

    __slots__ = ("_held", "limit", "overdue", "since", "task")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.since = 0.0
        self.overdue = False
        self.task: asyncio.Task[Any] | None = None
        self._held = 0.0

    def pause(self, now: float) -> None:
        """Stop charging: the plugin waits for us."""
        if self.since:
            self._held, self.since = now - self.since, 0.0

    def resume(self, now: float) -> None:
        """Charge again."""
        if self._held:
            self.since, self._held = now - self._held, 0.0

    def forgive(self) -> bool:
        """Whether the cancellation that just arrived was the ticker's; then it is taken back."""
        if not self.overdue:
            return False
        self.overdue = False
        if self.task is not None:
            self.task.uncancel()
        return True


class Budgets:
    """The ticker and the calls it watches."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()

    def watch(self, call: Call) -> None:
        """Look after `call` until `release`; its `task` is the one that is cancelled."""
        self._calls.add(call)

    def release(self, call: Call) -> None:
        """No longer look after it."""
        self._calls.discard(call)

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(TICK)
            now = loop.time()
            lag = max(0.0, now - before - TICK)
            for call in tuple(self._calls):
                if not call.since:
                    continue
                call.since += lag
                if now - call.since > call.limit and call.task is not None:
                    call.overdue = True
                    # A plugin that swallows the cancellation is cancelled again after another budget.
                    call.since = now
                    call.task.cancel()
