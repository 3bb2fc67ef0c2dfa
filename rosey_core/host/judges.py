"""Judges: plugins that decide which chat lines other plugins may act on.

They are asked one after another in the operator's order, 250 ms for all together; the first verdict counts. A
judge that fails or is late has no opinion, unless the owner wrote `on_silence = "stop"`. Three late answers in a
row, and a judge is not asked for a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.envelope import NormalizedEvent, Verdict
from rosey_core.errors import PluginError, Unavailable
from rosey_core.host.home import Home

SECONDS = 0.25
LAG = 0.01
STRIKES = 3
REST = 60.0


class Judge:
    """One judge in one channel, and its breaker.

    Args:
        name: the plugin's name.
        home: the plugin; it has the hook `judge`.
        log: bound to the plugin's name and the channel's.
    """

    def __init__(self, name: str, home: Home, log: FilteringBoundLogger) -> None:
        self.name = name
        self._home = home
        self._log = log
        self._late = 0
        self._resting_until = 0.0

    def rest(self, now: float) -> float:
        """For how many seconds more it is not asked; 0 when it is. Loop time."""
        return max(0.0, self._resting_until - now)

    def answered(self, *, late: bool, now: float) -> None:
        """Count an answer."""
        if not late:
            self._late = 0
            return
        self._home.overran("judge")
        self._late += 1
        if self._late >= STRIKES:
            self._late, self._resting_until = 0, now + REST
            self._log.error("judge.resting", seconds=REST)

    async def ask(self, event: NormalizedEvent, seconds: float) -> object:
        """The judge's own answer. Raises `TimeoutError` after `seconds`, in which the loop was there for it."""
        time = asyncio.get_running_loop().time
        # In a task of its own: a judge that swallows its cancellation must not hold the channel.
        task = asyncio.get_running_loop().create_task(self._home.judge(event), name=f"judge {self.name}")
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            left = seconds
            while left > LAG:
                due = time() + left
                await asyncio.wait((task,), timeout=left)
                if task.done():
                    return task.result()
                left = min(left, time() - due)  # somebody else held up the loop for so long
            raise TimeoutError
        finally:
            task.cancel()


async def ask_all(judges: Sequence[Judge], event: NormalizedEvent, *, on_silence: str) -> Verdict | None:
    """The first verdict on a line, or `None`."""
    time = asyncio.get_running_loop().time
    end = time() + SECONDS
    silent = ""
    for judge in judges:
        now = time()
        if judge.rest(now):
            silent = silent or judge.name
            continue
        given = end - now
        try:
            answer = await judge.ask(event, max(2 * LAG, given))
        except (TimeoutError, Unavailable):
            if given > SECONDS / 2:  # else those before it used the time up
                judge.answered(late=True, now=time())
            silent = silent or judge.name
            continue
        except PluginError:
            silent = silent or judge.name
            continue
        judge.answered(late=False, now=now)
        if isinstance(answer, Verdict):
            return msgspec.structs.replace(answer, judge=judge.name)
    if silent and on_silence == "stop":
        return Verdict(stop=True, reason=f"{silent} did not answer", judge=silent)
    return None
