"""Who owns a task: every task that a plugin's code makes is the plugin's.

It is named after it, what it raises is its own trouble (also `SystemExit`, which would end the daemon), and it is
cancelled when the plugin stops. Tasks made by `asyncio.Task(...)` directly and threads escape this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any

OWNER: ContextVar[Owner | None] = ContextVar("rosey_owner", default=None)


class Owner:
    """The tasks of one plugin instance.

    Args:
        name: the plugin's name, for the names of its tasks.
        failed: is told what a task raised.
    """

    def __init__(self, name: str, failed: Callable[[BaseException, str], None]) -> None:
        self.name = name
        self.failed = failed
        self.tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Run `work` as a task of this owner."""
        token = OWNER.set(self)
        try:
            return asyncio.get_running_loop().create_task(work, name=f"{self.name}: {name}" if name else None)
        finally:
            OWNER.reset(token)

    async def close(self, seconds: float) -> int:
        """Cancel all tasks and wait for them; how many would not end in time."""
        here = asyncio.current_task()
        tasks = {task for task in self.tasks if task is not here}
        for task in tasks:
            task.cancel()
        if not tasks:
            return 0
        _, alive = await asyncio.wait(tasks, timeout=seconds)
        return len(alive)


def cancelled() -> bool:
    """Whether somebody cancelled the task that runs, and not just raised `CancelledError` in it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _contained(owner: Owner, work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # KeyboardInterrupt as well: a real Ctrl-C comes as a signal
        owner.failed(error, "task")
        return None


def task_factory(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    **options: Any,
) -> asyncio.Task[Any]:
    """Make a task, and give it to the plugin whose code asked for it. Install with `loop.set_task_factory`."""
    owner = OWNER.get()
    if owner is None or not asyncio.iscoroutine(work):
        made: Any = work  # what it may be differs between the stubs of Python's versions
        return asyncio.Task(made, loop=loop, **options)
    options["name"] = options.get("name") or f"{owner.name}: {getattr(work, '__qualname__', 'task')}"
    task = asyncio.Task(_contained(owner, work), loop=loop, **options)
    owner.tasks.add(task)
    task.add_done_callback(owner.tasks.discard)
    return task
