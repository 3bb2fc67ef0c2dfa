"""Actions that answer a kept event are done once: what a repeat of the event asks for again is dropped.

The action's id is on disk before its frame goes out, so this holds also when everything is killed in between. It may
then be that it was never done: at most once, and never twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rosey_core.actions import Action, Outcome
from rosey_core.cause import STALE, Cause, identity
from rosey_core.clock import WallClock
from rosey_core.errors import EventLogError
from rosey_core.eventlog.log import EventLog
from rosey_core.receipt import Receipt


class Once:
    """One channel's way for actions that have a cause.

    Args:
        channel: its name.
        eventlog: remembers what was done.
        clock: tells the time.
    """

    def __init__(self, channel: str, eventlog: EventLog, clock: WallClock) -> None:
        self._channel = channel
        self._eventlog = eventlog
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def act(self, action: Action, plugin: str, cause: Cause, submit: Callable[[], Receipt]) -> Receipt:
        """Do what `submit` does, unless it was done before or comes too late."""
        age = self._clock() - cause.timestamp
        if age > STALE and not cause.late:
            reason = f"the event that it answers is {age:.0f} s old; late=True does it all the same"
            return Receipt.of(action.name, Outcome("stale", reason))
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        work = self._done(identity(cause, self._channel, plugin, action), submit, future)
        task = asyncio.get_running_loop().create_task(work, name=f"action {action.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Receipt("", action.name, future)

    async def _done(self, key: bytes, submit: Callable[[], Receipt], future: asyncio.Future[Outcome]) -> None:
        try:
            first = await self._eventlog.claim(key)
        except EventLogError as error:
            outcome = Outcome("dropped", f"it can't be noted, so it might be done twice: {error}")
        else:
            outcome = await submit().outcome() if first else Outcome("dropped", "it was done for this event before")
        if not future.done():
            future.set_result(outcome)
