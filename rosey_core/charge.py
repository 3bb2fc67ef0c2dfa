"""Whose time it is: a plugin's call is charged while it runs, and free while it waits for us.

A wait is for us when it stands in `waiting()`: for a receipt, or for another plugin. It frees the call whose code
waits, also in tasks that the call made, and none after that one.
"""

from __future__ import annotations

from asyncio import Task, get_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any

CALL: ContextVar[tuple[Call, int] | None] = ContextVar("rosey_call", default=None)
"""The call that the running code belongs to, and its number: a lane uses one object for all its calls.

In the task of the call itself the number is 0, for the one that runs now: to set it for each costs as much as the
rest of the call.
"""


class Call:
    """One call under way, or the place for one. Times are loop time.

    Args:
        limit: seconds it may use.
        told: is told each time when it is cut off.

    Attributes:
        limit: seconds it may use.
        what: what is called.
        since: when the running call began to be charged, moved on by what is not its fault; 0 when nothing is.
        task: where it runs; cancelled when it is over its limit.
        number: grows with each call.
        odd: it was cut off or waited for us, so it has to be ended by `end`; else `since` at 0 is the end.
    """

    __slots__ = ("_cuts", "_told", "_used", "_waits", "limit", "number", "odd", "since", "task", "what")

    def __init__(self, limit: float, told: Callable[[Call], None]) -> None:
        self.limit = limit
        self.task: Task[Any] | None = None
        self.what = ""
        self.since = 0.0
        self.number = 0
        self._told = told
        self._waits = 0
        self._used = 0.0
        self._cuts = 0
        self.odd = False

    @property
    def cuts(self) -> int:
        """How often the running call was cut off."""
        return self._cuts

    def begin(self, what: str, now: float) -> None:
        """A call begins here and now."""
        self.what = what
        self.number += 1
        self.since = now

    def cut(self, now: float) -> None:
        """It is over its limit: cancel it, and again after another limit if it swallows that."""
        self._cuts += 1
        self.odd = True
        self.since = now
        if self.task is not None:
            self.task.cancel()
        self._told(self)

    def end(self) -> bool:
        """It is over. Takes back every cut, however the call ended, and tells whether there was one."""
        self.since = 0.0
        self.odd = False
        self._waits = 0
        if not self._cuts:
            return False
        if self.task is not None:
            for _ in range(self._cuts):
                self.task.uncancel()
        self._cuts = 0
        return True

    def pause(self, number: int, now: float) -> None:
        """One more wait for us, in the call of this number."""
        if number == self.number and (self.since or self._waits):
            if not self._waits:
                self._used, self.since = now - self.since, 0.0
            self._waits += 1
            self.odd = True

    def resume(self, number: int, now: float) -> None:
        """One wait less; after the last, the call is charged again. After the end of the call it means nothing."""
        if number == self.number and self._waits:
            self._waits -= 1
            if not self._waits:
                self.since = now - self._used


def bind(context: Context) -> None:
    """Let a task that is made now in `context` wait in the name of the call that makes it, and of none after it."""
    running = CALL.get()
    if running is not None and not running[1]:
        context.run(CALL.set, (running[0], running[0].number))


@contextmanager
def waiting() -> Iterator[None]:
    """While inside, the call that this code belongs to is free."""
    running = CALL.get()
    if running is None:
        yield
        return
    call, number = running[0], running[1] or running[0].number
    time = get_running_loop().time
    call.pause(number, time())
    try:
        yield
    finally:
        call.resume(number, time())
