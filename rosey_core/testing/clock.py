"""Virtual time for tests: an event loop whose clock jumps to the next timer when nothing is ready.

A test that waits an hour takes a millisecond, and always sees the same order of events. `run_virtual` runs one
coroutine so; `VirtualLoop` is a loop factory for `asyncio.Runner` and for pytest-asyncio
(`pytest_asyncio_loop_factories`); `VirtualClock` is the time of day that goes with it.

It is for tests without the outside world. Sockets work, but time does not wait for them: it jumps as soon as
nothing is readable. It does wait for threads (`asyncio.to_thread`).
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Executor

T = TypeVar("T")


class NothingToDoError(RuntimeError):
    """Every task waits, no timer is set and nothing outside works: the test would hang for ever."""


class _Selector(selectors.BaseSelector):
    """A real selector, asked without waiting; where the loop would wait for a timer, time jumps there."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if self._loop.outside:
            return self._real.select(None)
        if timeout is None:
            if len(self.get_map()) > 1:  # more than the loop's own wake-up pipe: a peer may still write
                return self._real.select(None)
            raise NothingToDoError(self._loop.waiting())
        self._loop.advance(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that never sleeps.

    Attributes:
        outside: how many threads work for this loop; while there are any, time stands still.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self.outside = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass. Timers that it passes run in their order, late."""
        self._now += seconds

    def waiting(self) -> str:
        """A sentence that says which tasks wait, and where."""
        tasks = [task for task in asyncio.all_tasks(self) if not task.done()]
        lines = sorted(f"  {task.get_name()} at {_place(task)}" for task in tasks)
        return "every task waits and no timer is set, so nothing can ever happen:\n" + "\n".join(lines)

    def run_in_executor(  # type: ignore[override]  # the stub's form needs TypeVarTuple, which 3.11's checkers differ on
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run `func` in a thread. Time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self.outside += 1
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: object) -> None:
        self.outside -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncio's form
        """Join the threads, in real time."""
        self.outside += 1
        try:
            # From 3.12 on there is a time-out of 300 s, which virtual time would jump over.
            await super().shutdown_default_executor(**({} if timeout is None else {"timeout": timeout}))
        finally:
            self.outside -= 1


def _place(task: asyncio.Task[Any]) -> str:
    """The file and line where a task waits."""
    frames = task.get_stack(limit=1)
    return f"{frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else "an unknown place"


def run_virtual(work: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """Run a coroutine to its end in virtual time, and return what it returns.

    Raises:
        NothingToDoError: when every task waits and no timer is set.
    """
    with asyncio.Runner(debug=debug, loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class VirtualClock:
    """A time of day that tests set: call it for UTC seconds.

    Args:
        start: the first time it tells.
        loop: with a loop it moves with that loop's time; else only by `advance`.
    """

    def __init__(self, start: float = 1_700_000_000.0, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop
        self._offset = start - (loop.time() if loop else 0.0)

    def __call__(self) -> float:
        """The time, in UTC seconds."""
        return self._offset + (self._loop.time() if self._loop else 0.0)

    def advance(self, seconds: float) -> None:
        """Let time pass; below 0 it goes back, as real clocks do when they are set."""
        self._offset += seconds
