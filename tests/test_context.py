"""A plugin's view of a channel: whose time is charged while it waits for us."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import structlog

from rosey_core.channel.channel import Channel
from rosey_core.host.budget import Call
from rosey_core.host.context import Context
from rosey_core.manifest import Settings


class Port:
    """A channel that is only looked at."""

    name = "cytube"
    prefix = "!"

    def __init__(self) -> None:
        self.state = Channel()


class Host:
    """A host that notes whether the call was charged while it was asked."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.charged: list[bool] = []

    def clock(self) -> float:
        """No time."""
        return 0.0

    async def query(self, *_: Any) -> str:
        """Look."""
        self.charged.append(self.call.since != 0.0)
        return "answer"


async def test_only_the_call_itself_is_paused(tmp_path: Path) -> None:
    """Its own query is free; one that a task beside it asks with the same context pauses nothing."""
    call = Call(5)
    call.task = asyncio.current_task()
    call.since = 1.0
    host = Host(call)
    ctx = Context(
        cast("Any", Port()),
        cast("Any", host),
        plugin="x",
        grants=frozenset(("query:y",)),
        settings=Settings(),
        directory=tmp_path,
        log=structlog.get_logger(),
        spawn=lambda work, _: asyncio.get_running_loop().create_task(work),
    )
    ctx.charge(call)
    assert await ctx.query("y", "q") == "answer"
    assert call.since != 0.0
    assert await ctx.spawn(ctx.query("y", "q")) == "answer"
    assert host.charged == [False, True]
