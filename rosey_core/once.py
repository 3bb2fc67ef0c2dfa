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
from rosey_core.host.ownership import owned_by
from rosey_core.receipt import Receipt

CLAIM_SECONDS = 10.0
"""How long an action waits for the disk."""


class Once:
    """One channel's way for actions that have a cause.

    Args:
        channel: its name.
        eventlog: remembers what was done.
        clock: tells the time.

    Attributes:
        behind: seconds by which CyTube's clock is behind ours, 0 where it is ahead.
    """

    def __init__(self, channel: str, eventlog: EventLog, clock: WallClock) -> None:
        self.behind = 0.0
        self._channel = channel
        self._eventlog = eventlog
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def heard(self, timestamp: float) -> None:
        """A live line has CyTube's time: by so much its clock is behind ours."""
        self.behind = max(0.0, self._clock() - timestamp)

    def act(self, action: Action, plugin: str, cause: Cause, submit: Callable[[], Receipt]) -> Receipt:
        """Do what `submit` does, unless it was done before or comes too late."""
        age = self._clock() - cause.timestamp - self.behind
        if age > STALE and not cause.late:
            reason = f"the event that it answers is {age:.0f} s old; late=True does it all the same"
            return Receipt.of(action.name, Outcome("stale", reason))
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        work = self._done(identity(cause, self._channel, plugin, action), submit, future)
        with owned_by(None):  # it is to be done also when the plugin ends now
            task = asyncio.get_running_loop().create_task(work, name=f"action {action.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Receipt("", action.name, future)

    async def _done(self, key: bytes, submit: Callable[[], Receipt], future: asyncio.Future[Outcome]) -> None:
        outcome = Outcome("unknown", "rosey failed; its log says why")
        try:
            async with asyncio.timeout(CLAIM_SECONDS):
                first = await self._eventlog.claim(key)
            if first:
                outcome = await submit().outcome()
            else:
                outcome = Outcome("dropped", "it was done for this event before")
        except TimeoutError:
            outcome = Outcome("dropped", f"it was not noted within {CLAIM_SECONDS:g} s, so it might be done twice")
        except EventLogError as error:
            outcome = Outcome("dropped", f"it can't be noted, so it might be done twice: {error}")
        finally:
            if not future.done():
                future.set_result(outcome)
