"""Stores for tests: real ones, with a time of day that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rosey_core import log
from rosey_core.host.store import Store
from rosey_core.storage.storage import Storage


class Clock:
    """A time of day that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@asynccontextmanager
async def running(path: Path, clock: Any = lambda: 1000.0) -> AsyncIterator[Storage]:
    """A store that serves."""
    kept = Storage(path, clock=clock, log=log.get("test"))
    task = asyncio.create_task(kept.run())
    try:
        yield kept
    finally:
        task.cancel()
        await asyncio.wait((task,))


def of(kept: Storage, plugin: str = "dice", channel: str = "cytube") -> Store:
    """A plugin's view."""
    return Store(kept.do, plugin, channel)
