"""Who owns a task: every task that a plugin's code makes is the plugin's.

It is named after it, it is cancelled when the plugin stops, and it can't end the daemon: `SystemExit` in it becomes
a `PluginError`. What it raises goes to whoever awaits it, and to its owner when nobody does. Tasks made by
`asyncio.Task(...)` directly, callbacks of `call_later` and threads escape this: code inside the daemon is trusted
not to end it by those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any

from rosey_core.charge import bind
from rosey_core.errors import PluginError, told

OWNER: ContextVar[Owner | None] = ContextVar("rosey_owner", default=None)


class Owner:
    """The tasks of one plugin instance.

    Args:
        name: the plugin's name, for the names of its tasks.
        failed: is told what a task raised that nobody awaits.

    Attributes:
        closed: it is over; nothing is done in its name any more.
    """

    def __init__(self, name: str, failed: Callable[[BaseException, str], None]) -> None:
        self.name = name
        self.failed = failed
        self.tasks: set[asyncio.Task[Any]] = set()
        self.closed = False

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Run `work` as a task of this owner. What it raises is told at once, whoever awaits it later."""
        with owned_by(self):
            task = asyncio.get_running_loop().create_task(work, name=f"{self.name}: {name}" if name else None)
        task.add_done_callback(self._tell)
        return task

    def _tell(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error, "task")

    async def close(self, seconds: float, *, final: bool = True) -> int:
        """Cancel all tasks and wait for them; how many would not end in time.

        If it is `final`, tasks that are made from now on are cancelled before they begin.
        """
        self.closed = self.closed or final
        here, loop = asyncio.current_task(), asyncio.get_running_loop()
        end = loop.time() + seconds
        while (tasks := self.tasks - {here}) and loop.time() < end:
            self.abandon()
            await asyncio.wait(tasks, timeout=end - loop.time())
        return len(tasks)

    def abandon(self) -> None:
        """Cancel all tasks, and wait for none."""
        for task in self.tasks - {asyncio.current_task()}:
            task.cancel()


@contextmanager
def owned_by(owner: Owner | None) -> Iterator[None]:
    """Tasks that are made inside are this owner's, or nobody's."""
    token = OWNER.set(owner)
    try:
        yield
    finally:
        OWNER.reset(token)


class _Owned(asyncio.Task[Any]):
    """A plugin's task: it knows whose it is also when nothing else is left of it."""

    owner: Owner


async def _contained(owner: Owner, work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:  # asyncio would end the loop; a real Ctrl-C comes as a signal
        raise PluginError(f"{owner.name} raised {told(error)} in a task") from error


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
    context = options["context"] = options.get("context") or copy_context()
    bind(context)
    task = _Owned(_contained(owner, work), loop=loop, **options)
    task.owner = owner
    owner.tasks.add(task)

    def ended(task: asyncio.Task[Any]) -> None:
        owner.tasks.discard(task)
        work.close()  # a task that is cancelled before its first step never began it

    task.add_done_callback(ended)
    if owner.closed:
        task.cancel()
    return task


def exception_handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell a plugin's exceptions that nobody awaited to their owner. Install with `loop.set_exception_handler`."""
    task, error = context.get("task") or context.get("future"), context.get("exception")
    if isinstance(task, _Owned) and error is not None:
        task.owner.failed(error, "task")
    else:
        loop.default_exception_handler(context)
