"""Tasks that plugin code makes are the plugin's."""

from __future__ import annotations

import asyncio
import sys

from rosey_core.host.ownership import Owner, task_factory


async def test_a_plugins_task_is_contained() -> None:
    """What a plugin's task raises, `SystemExit` too, is told to its owner and ends nothing else."""
    asyncio.get_running_loop().set_task_factory(task_factory)
    told: list[BaseException] = []
    owner = Owner("p", lambda error, _: told.append(error))

    async def quits() -> None:
        sys.exit(3)

    async def raises() -> None:
        raise ValueError("x")

    async def plugin() -> None:
        # Tasks within tasks are the plugin's as well.
        await asyncio.gather(asyncio.create_task(quits()), asyncio.create_task(raises()))

    await owner.spawn(plugin())
    assert [type(error) for error in told] == [SystemExit, ValueError]
    assert not owner.tasks


async def test_tasks_end_with_their_owner() -> None:
    """Closing an owner cancels its tasks, and counts those that will not end."""
    asyncio.get_running_loop().set_task_factory(task_factory)
    owner = Owner("p", lambda *_: None)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    obedient = owner.spawn(asyncio.sleep(3600))
    task = owner.spawn(stubborn(), "stubborn")
    try:
        await asyncio.sleep(0)
        assert task.get_name() == "p: stubborn"
        assert await owner.close(0.05) == 1
        assert obedient.cancelled()
    finally:
        release.set()
        await task


async def test_our_own_tasks_are_nobodys() -> None:
    """A task made outside plugin code has no owner."""
    asyncio.get_running_loop().set_task_factory(task_factory)
    task = asyncio.create_task(asyncio.sleep(0), name="ours")
    await task
    assert task.get_name() == "ours"
