"""Budgets: how long a plugin's call may take.

Each call leaves a busy stamp, and one ticker for all looks at them. An `asyncio.timeout` around each call costs
more than receiving the frame did. When the loop itself was late, the loop is charged and not the plugin.
"""

from __future__ import annotations

import asyncio

from rosey_core.charge import Call

TICK = 0.1


class Budgets:
    """The ticker and the calls it watches."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()

    def watch(self, call: Call) -> None:
        """Look after `call` until `release`."""
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
                if call.since:
                    call.since += lag
                    if now - call.since > call.limit:
                        call.cut(now)
