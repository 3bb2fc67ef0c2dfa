"""The daemon as systemd sees it: fed watchdog, and a line about its channels."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rosey_core.testing.cytube import SimulatedCytube


async def test_the_status_follows_the_channels(cytube: SimulatedCytube, make: Any) -> None:
    """A channel that is joined, lost and joined again is told each time."""
    async with make(cytube.url, channel="rejoin_after_kick = 2") as process, asyncio.timeout(30):
        await process.told("STATUS=1 of 1 channels joined")
        await cytube.kick("Rosey", "for a while")
        await process.told("STATUS=0 of 1 channels joined; cytube: waiting (kicked: for a while")
        await process.told("STATUS=1 of 1 channels joined")


async def test_a_blocked_loop_is_for_the_watchdog(cytube: SimulatedCytube, make: Any) -> None:
    """It is fed until a plugin blocks the loop, and then no more: systemd will kill the daemon and start it again."""
    async with make(cytube.url, "blocker", environ={"WATCHDOG_USEC": "200000"}) as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.started()
        async with asyncio.timeout(30):
            for _ in range(3):
                await process.told("WATCHDOG=1")
            cytube.room.say_as("bob", "block for ever")
            while "loop.blocked" not in process.log.read_text():  # noqa: ASYNC110  a file tells of nothing
                await asyncio.sleep(0.02)
        process.forget()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await process.told("WATCHDOG=1")
        await process.stop(0.1)
