"""Budgets: who is charged for time, and who is not. In virtual time."""

from __future__ import annotations

import asyncio
from asyncio import sleep
from collections.abc import Awaitable, Callable

from rosey_core.charge import CALL, Call, waiting
from rosey_core.host.budget import Budgets
from rosey_core.host.ownership import Owner, task_factory
from rosey_core.testing.clock import run_virtual

Work = Callable[[], Awaitable[object]]


def measured(*calls: Work, limit: float = 5) -> list[tuple[bool, int]]:
    """Run calls one after another, as a lane does: of each whether it was cut off, and how long it took."""

    async def lane(budgets: Budgets) -> list[tuple[bool, int]]:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        call = Call(limit, lambda _: None)
        call.task = task
        CALL.set((call, 0))
        budgets.watch(call)
        told: list[tuple[bool, int]] = []
        for work in calls:
            began = loop.time()
            call.begin("x", began)
            try:
                await work()
            except (asyncio.CancelledError, ValueError):
                pass
            finally:
                cut = call.end()
            told.append((cut, round(loop.time() - began)))
            assert task.cancelling() == 0
        return told

    async def scenario() -> list[tuple[bool, int]]:
        asyncio.get_running_loop().set_task_factory(task_factory)
        budgets = Budgets()
        ticker = asyncio.create_task(budgets.run())
        await sleep(1)  # loop time 0 would look like "nothing runs"
        told: list[tuple[bool, int]] = await Owner("p", print).spawn(lane(budgets))
        ticker.cancel()
        await asyncio.wait((ticker,))
        return told

    return run_virtual(scenario())


async def wait_for_us(seconds: float) -> None:
    """Wait for the host."""
    with waiting():
        await sleep(seconds)


def test_within_and_over() -> None:
    """A call that ends in time is left alone, and one that does not is cut off soon after its budget."""
    assert measured(lambda: sleep(4.8), lambda: sleep(60), lambda: sleep(4.8)) == [(False, 5), (True, 5), (False, 5)]


def test_waiting_for_us_is_free() -> None:
    """While a call waits for what the host does, nobody is charged; what was used before counts after it."""

    async def work() -> None:
        await sleep(3)
        await wait_for_us(100)
        await sleep(1.8)

    async def too_long() -> None:
        await work()
        await sleep(60)

    assert measured(work, too_long) == [(False, 105), (True, 105)]


def test_waits_at_the_same_time() -> None:
    """A call that gathers several waits is free until the last of them ends, in whatever order they end."""

    async def work() -> None:
        await asyncio.gather(wait_for_us(50), wait_for_us(100), wait_for_us(20))
        await sleep(4.8)

    async def nested() -> None:
        with waiting():
            await wait_for_us(10)
            await sleep(10)

    async def too_long() -> None:
        await work()
        await sleep(60)

    assert measured(work, nested, too_long) == [(False, 105), (False, 20), (True, 105)]


def test_a_wait_frees_its_own_call_only() -> None:
    """A task that one call left behind and that waits for us frees none of the calls after it, nor wakes them."""
    left: list[asyncio.Task[None]] = []

    async def wait_later() -> None:
        await sleep(1)
        await wait_for_us(300)

    async def leaves() -> None:
        left.extend(asyncio.create_task(wait_for_us(seconds)) for seconds in (1, 3, 300))
        left.append(asyncio.create_task(wait_later()))
        await sleep(0)

    async def idle_then_hang() -> None:
        await sleep(60)

    assert measured(leaves, idle_then_hang) == [(False, 0), (True, 5)]


def test_a_finished_call_is_not_charged() -> None:
    """What ends waiting after its call is over starts no clock: the lane is idle then."""

    async def scenario() -> float:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().set_task_factory(task_factory)
        call = Call(5, lambda _: None)
        call.task = task
        CALL.set((call, 0))
        await sleep(1)
        call.begin("x", 1.0)
        late = Owner("p", print).spawn(wait_for_us(10))
        await sleep(1)
        assert call.since == 0.0
        call.end()
        await late
        return call.since

    assert run_virtual(scenario()) == 0.0


def test_every_cut_is_taken_back() -> None:
    """Also when the call swallows the first ones, or ends with another error."""

    async def swallows() -> None:
        for _ in range(2):
            try:
                await sleep(60)
            except asyncio.CancelledError:
                continue

    async def raises() -> None:
        try:
            await sleep(60)
        except asyncio.CancelledError:
            raise ValueError from None

    assert measured(swallows, raises, lambda: sleep(1)) == [(True, 10), (True, 5), (False, 1)]
