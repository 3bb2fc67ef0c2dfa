"""Lanes: order, lists, bounds, announced gaps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.envelope import NOTHING, NormalizedEvent
from rosey_core.events import CoreGap, StatsUsercount
from rosey_core.host.lane import LIST, Lane


def event(seq: int) -> NormalizedEvent:
    """An event with this number."""
    return NormalizedEvent("stats.usercount", "cytube", StatsUsercount(seq), 1.0, NOTHING, f"c-{seq}", "c", seq)


class End:
    """The end of a lane, which can be held."""

    def __init__(self) -> None:
        self.lists: list[list[NormalizedEvent]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()

    async def deliver(self, events: Sequence[NormalizedEvent]) -> None:
        """Take a list, and hold it while this end is not open."""
        self.lists.append(list(events))
        self.reached.set()
        await self.open.wait()

    @property
    def events(self) -> list[NormalizedEvent]:
        """All that came."""
        return [event for events in self.lists for event in events]


async def run(lane: Lane) -> None:
    """Run a lane until it is dry."""
    task = asyncio.create_task(lane.run())
    await lane.drained()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_order_and_lists() -> None:
    """Events arrive in order, in lists of at most 256."""
    end = End()
    lane = Lane(end.deliver)
    for seq in range(1, 1001):
        lane.put(event(seq))
    await run(lane)
    assert [e.seq for e in end.events] == list(range(1, 1001))
    assert max(map(len, end.lists)) == LIST
    assert lane.dropped == 0


async def test_what_gathers_is_the_next_list() -> None:
    """While one list is handled, the events that come make up the next."""
    end = End()
    end.open.clear()
    lane = Lane(end.deliver)
    task = asyncio.create_task(lane.run())
    lane.put(event(1))
    await end.reached.wait()
    for seq in (2, 3, 4):
        lane.put(event(seq))
    end.open.set()
    await lane.drained()
    assert [[e.seq for e in events] for events in end.lists] == [[1], [2, 3, 4]]
    task.cancel()


async def test_overflow_is_announced() -> None:
    """The oldest go when a lane is full, and a gap tells how many and which."""
    end = End()
    lane = Lane(end.deliver, limit=10)
    for seq in range(1, 26):
        lane.put(event(seq))
    await run(lane)
    gap, *rest = end.events
    assert gap.event_type == "core.gap"
    assert gap.data == CoreGap(count=15, first=1, last=15)
    assert gap.seq == 15
    assert [e.seq for e in rest] == list(range(16, 26))
    assert lane.dropped == 15


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 20))
def test_nothing_is_lost_silently(bursts: list[int], limit: int) -> None:
    """Whatever the bursts: delivered and announced together are all that was put, once, in order."""

    async def scenario() -> None:
        end = End()
        lane = Lane(end.deliver, limit=limit)
        task = asyncio.create_task(lane.run())
        seq = 0
        for burst in bursts:
            for _ in range(burst):
                seq += 1
                lane.put(event(seq))
            await asyncio.sleep(0)
        await lane.drained()
        task.cancel()
        seen: list[int] = []
        for one in end.events:
            if isinstance(one.data, CoreGap):
                assert one.data.count == one.data.last - one.data.first + 1
                seen += range(one.data.first, one.data.last + 1)
            else:
                seen.append(one.seq)
        assert seen == list(range(1, seq + 1))

    asyncio.run(scenario())
