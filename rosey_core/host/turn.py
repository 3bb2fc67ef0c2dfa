"""What both kinds of lane share: lists go to a plugin one at a time, and a user can be taken out of what waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

from rosey_core.envelope import NormalizedEvent, decode, encode
from rosey_core.eventlog.privacy import without

T = TypeVar("T")


class Turn(Generic[T]):
    """Whether the plugin works on a list just now.

    Args:
        deliver: hands over a list; its return means handled.
    """

    def __init__(self, deliver: Callable[[Sequence[NormalizedEvent]], Awaitable[T]]) -> None:
        self._deliver = deliver
        self._free = asyncio.Event()
        self._free.set()

    async def take(self, events: Sequence[NormalizedEvent]) -> T:
        """Hand over a list; what comes of it."""
        self._free.clear()
        try:
            return await self._deliver(events)
        finally:
            self._free.set()

    async def over(self, seconds: float) -> None:
        """Wait until the plugin is through with what it works on, so many seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._free.wait()


def without_user(events: Iterable[NormalizedEvent], user: str) -> list[NormalizedEvent]:
    """What is left of events without a user."""
    left = []
    for event in events:
        payload = encode(event)
        body = without(event.event_type, payload, user)
        if body is not None:
            left.append(event if body is payload else decode(body))
    return left


async def first_of(*waits: Awaitable[object]) -> None:
    """Wait until one of these is through; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
