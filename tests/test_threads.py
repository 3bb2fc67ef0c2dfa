"""Threads of their own for what blocks."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rosey_core.threads import Loop, in_thread


async def test_what_it_returns_and_raises() -> None:
    """The work's result or its exception comes back."""

    def fail() -> None:
        raise ValueError("x")

    assert await in_thread(lambda: 5) == 5
    with pytest.raises(ValueError, match="x"):
        await in_thread(fail)


def test_names_are_looked_up_while_every_thread_is_taken() -> None:
    """Who fills the loop's pool for ever holds up no look-up of a name."""
    release = threading.Event()

    async def scenario() -> list[object]:
        loop = asyncio.get_running_loop()
        taken = [loop.run_in_executor(None, release.wait) for _ in range(100)]
        async with asyncio.timeout(20):
            found = await loop.getaddrinfo("localhost", 80)
        release.set()
        await asyncio.gather(*taken)
        return list(found)

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(scenario())


def test_nobody_waits_for_it_at_the_end() -> None:
    """A loop that ends does not wait for work that does not, and what the work returns then harms nobody."""
    release = threading.Event()
    threads = threading.active_count()

    async def scenario() -> None:
        working = asyncio.create_task(in_thread(release.wait))
        await asyncio.sleep(0)
        working.cancel()
        await asyncio.wait((working,))

    asyncio.run(scenario())
    assert threading.active_count() == threads + 1
    release.set()
