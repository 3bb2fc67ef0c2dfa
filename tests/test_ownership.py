"""Tasks that plugin code makes are the plugin's."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest

from rosey_core.errors import PluginError
from rosey_core.host.ownership import Owner, exception_handler, task_factory


class Told:
    """An owner's ear."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(task_factory)
        loop.set_exception_handler(exception_handler)
        self.errors: list[str] = []
        self.owner = Owner("p", lambda error, what: self.errors.append(f"{what}: {error!r}"))


async def quits() -> None:
    """End the program."""
    sys.exit(3)


async def raises() -> None:
    """Fail."""
    raise ValueError("x")


async def grouped() -> None:
    """Fail beside a task that would last."""
    async with asyncio.TaskGroup() as group:
        group.create_task(raises())
        group.create_task(asyncio.sleep(3600))


async def test_whoever_awaits_gets_what_it_raised() -> None:
    """An exception passes through the plugin's own tasks, groups and time-outs as everywhere else."""
    told = Told()
    caught: list[str] = []

    async def plugin() -> None:
        for work in (
            asyncio.create_task(raises()),
            asyncio.wait_for(raises(), 5),
            asyncio.gather(raises(), raises()),
            asyncio.shield(raises()),
        ):
            with pytest.raises(ValueError, match="x"):
                await work
            caught.append("ValueError")
        with pytest.raises(ExceptionGroup):
            await grouped()
        task = asyncio.create_task(asyncio.sleep(3600))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    await told.owner.spawn(plugin())
    gc.collect()
    assert len(caught) == 4
    assert told.errors == []
    assert not told.owner.tasks


async def test_an_exit_is_an_error_of_the_plugin() -> None:
    """`SystemExit` and `KeyboardInterrupt` in a task end the task and nothing else, and its awaiter is told."""
    told = Told()

    async def interrupts() -> None:
        raise KeyboardInterrupt

    async def plugin() -> None:
        with pytest.raises(PluginError, match="p raised SystemExit: 3 in a task"):
            await asyncio.create_task(quits())
        with pytest.raises(PluginError, match="p raised KeyboardInterrupt in a task"):
            await asyncio.create_task(interrupts())

    await told.owner.spawn(plugin())
    assert told.errors == []


async def test_what_nobody_awaits_is_told_to_the_owner() -> None:
    """A task that failed and was dropped is the owner's to hear of, once; so is a spawned one that is still held."""
    told = Told()

    async def plugin() -> None:
        asyncio.create_task(raises())  # noqa: RUF006  dropping it is the point
        asyncio.create_task(quits())  # noqa: RUF006  the same
        await asyncio.sleep(0)

    await told.owner.spawn(plugin())
    held = told.owner.spawn(raises())
    await asyncio.wait((held,))
    gc.collect()
    assert sorted(told.errors) == [
        "task: PluginError('p raised SystemExit: 3 in a task')",
        "task: ValueError('x')",
        "task: ValueError('x')",
    ]


async def test_what_is_nobodys_goes_the_usual_way(caplog: pytest.LogCaptureFixture) -> None:
    """An exception of a task that has no owner is logged by asyncio."""
    told = Told()
    asyncio.create_task(raises())  # noqa: RUF006  dropping it is the point
    await asyncio.sleep(0)
    gc.collect()
    assert "Task exception was never retrieved" in caplog.text
    assert told.errors == []


async def test_tasks_end_with_their_owner() -> None:
    """Closing an owner cancels its tasks, and counts those that will not end."""
    owner = Told().owner
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
    Told()
    task = asyncio.create_task(asyncio.sleep(0), name="ours")
    await task
    assert task.get_name() == "ours"
