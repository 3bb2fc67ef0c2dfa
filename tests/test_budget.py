"""Budgets: who is charged for time, and who is not. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rosey_core.host.budget import Budgets, Call
from rosey_core.testing.clock import run_virtual


def measured(limit: float, work: Callable[[Call], Awaitable[None]]) -> tuple[bool, float]:
    """Run `work` under a budget: whether it was cut off, and when it ended."""

    async def scenario() -> tuple[bool, float]:
        loop = asyncio.get_running_loop()
        budgets, call = Budgets(), Call(limit)
        ticker = loop.create_task(budgets.run())

        async def watched() -> bool:
            call.task = asyncio.current_task()
            call.since = loop.time()
            budgets.watch(call)
            try:
                await work(call)
            except asyncio.CancelledError:
                return call.forgive()
            finally:
                budgets.release(call)
            return False

        # Loop time 0 would look like "nothing runs".
        await asyncio.sleep(1)
        began = loop.time()
        cut = await loop.create_task(watched())
        took = loop.time() - began
        ticker.cancel()
        await asyncio.wait((ticker,))
        return cut, round(took, 1)

    return run_virtual(scenario())


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


def test_within_and_over() -> None:
    """A call that ends in time is left alone, and one that does not is cut off soon after its budget."""
    assert measured(5, lambda _: _sleep(4.9)) == (False, 4.9)
    cut, took = measured(5, lambda _: _sleep(60))
    assert cut
    assert 5 <= took <= 5.3


def test_waiting_for_us_is_free() -> None:
    """While a call waits for what the host does, nobody is charged."""

    async def work(call: Call) -> None:
        await asyncio.sleep(3)
        call.pause(asyncio.get_running_loop().time())
        await asyncio.sleep(100)
        call.resume(asyncio.get_running_loop().time())
        await asyncio.sleep(1.9)

    assert measured(5, work) == (False, 104.9)


def test_it_is_charged_again_afterwards() -> None:
    """What was used before the pause counts after it."""

    async def work(call: Call) -> None:
        await asyncio.sleep(3)
        call.pause(asyncio.get_running_loop().time())
        await asyncio.sleep(100)
        call.resume(asyncio.get_running_loop().time())
        await asyncio.sleep(60)

    cut, took = measured(5, work)
    assert cut
    assert 105 <= took <= 105.3


def test_a_cancellation_of_others_is_theirs() -> None:
    """Only the ticker's is taken back."""

    async def scenario() -> bool:
        call = Call(5)
        call.task = asyncio.current_task()
        return call.forgive()

    assert run_virtual(scenario()) is False
