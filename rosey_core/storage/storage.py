"""The front of the store: takes what plugins want done, and does what waits together, in one transaction.

One task serves everybody, in the order in which they came, so nothing comes between the halves of an operation. Each
has an outcome of its own. Where the file can't be used now, what should be written fails with a reason, what is only
read is tried again, and the next operation finds out whether it is better.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.clock import WallClock
from rosey_core.errors import PluginError, Unavailable
from rosey_core.storage.items import AT_ONCE, SECONDS, Operation, Place, checked

if TYPE_CHECKING:  # imported at the first use: without plugins that store anything, SQLite is not needed
    from rosey_core.storage.file import File

RETRY = 1.0
"""After a failed attempt to open the file, the next comes so many seconds later at the earliest."""


class _Job:
    """Something to do with the file. `alone` is not in a transaction, `writes` in one that it needs."""

    def __init__(self, work: Callable[[File], Awaitable[Any]], *, writes: bool = False, alone: bool = False) -> None:
        self.work = work
        self.writes = writes
        self.alone = alone
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return  # who asked has gone
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class Storage:
    """Everything that plugins keep.

    Args:
        path: the file. It is made at the first use.
        clock: tells the time by which values expire.
        log: is told once when the store can't be used, and once when it can again.

    Attributes:
        fault: why the store could not be written last; empty when it could.
    """

    def __init__(self, path: Path, *, clock: WallClock, log: FilteringBoundLogger) -> None:
        self.fault = ""
        self._path = path.absolute()
        self._clock = clock
        self._log = log
        self._file: File | None = None
        self._check = True
        self._again = 0.0
        self._refusal = ""
        self._waiting = deque[_Job]()
        self._news = asyncio.Event()
        self._slots: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))

    async def do(self, plugin: str, operation: Operation) -> msgspec.Raw:
        """Do what a plugin wants; its result as JSON, as docs/workers.md says.

        Raises:
            PluginError: the operation is wrong, or can't be done with what is there; nothing was changed.
            Unavailable: the store can't be used now.
        """
        operation = checked(operation)
        job = partial(_Job, partial(_do, plugin=plugin, operation=operation))
        async with self._slots[plugin]:
            result = await self._wait(job(writes=operation.do not in {"get", "list"}))
        return msgspec.Raw(msgspec.json.encode(result))

    async def find(self, text: str) -> list[Place]:
        """Where a text stands in a key or a value, in capitals or not, also in what expired and is still in the file.

        What a plugin stored as bytes is base64 there, and not found. Raises `Unavailable`.
        """
        if not text or not text.isprintable():
            return []  # no line and no name in CyTube is such a one
        found: list[Place] = []
        after = 0
        while True:
            page, after = await self._wait(_Job(partial(_find, text=text, after=after)))
            found += page
            if not after:
                return sorted(found)

    async def erase(self, places: Sequence[Place]) -> int:
        """Delete these; how many there were. After a `checkpoint` their bytes are gone. Raises `Unavailable`."""
        count: int = await self._wait(_Job(partial(_erase, places=places), writes=True))
        return count

    async def checkpoint(self) -> None:
        """See to it that what was deleted is in none of the store's files. Raises `Unavailable`."""
        await self._wait(_Job(_checkpoint, alone=True))

    async def _wait(self, job: _Job) -> Any:
        self._waiting.append(job)
        self._news.set()
        try:
            async with asyncio.timeout(SECONDS):
                return await job.future
        except TimeoutError:
            raise Unavailable(
                f"the store did not answer within {SECONDS:g} s: whether it was done, is not known"
            ) from None
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(job)

    # --- its task ---

    async def run(self) -> None:
        """Serve, until it is cancelled."""
        try:
            while True:
                while self._waiting:  # first: what the task before this one left may be there
                    await self._serve(self._next())
                self._news.clear()
                await self._news.wait()
        finally:
            await self._close()

    def _next(self) -> list[_Job]:
        """What is done together: all that waits, up to one that has to be alone."""
        jobs = [self._waiting.popleft()]
        while self._waiting and not jobs[0].alone and not self._waiting[0].alone:
            jobs.append(self._waiting.popleft())
        return jobs

    async def _serve(self, jobs: list[_Job]) -> None:
        writes = any(job.writes for job in jobs)
        try:
            outcomes = await self._done(jobs, writes=writes)
        except Unavailable as error:
            await self._failed(str(error), writes=writes)
            reads = [job for job in jobs if writes and not job.writes]
            for job in jobs:
                if job not in reads:
                    job.settle(None, Unavailable(str(error)))
            if reads:
                await self._serve(reads)
        except BaseException as error:
            for job in jobs:
                job.settle(None, Unavailable("the store stopped: whether it was done, is not known"))
            if isinstance(error, Exception):
                self._log.exception("store.broken")
                await self._close()
            else:
                raise
        else:
            for job, (result, problem) in zip(jobs, outcomes, strict=True):
                job.settle(result, problem)
            if writes and self.fault:
                self.fault = ""
                self._log.info("store.back")

    async def _done(self, jobs: list[_Job], *, writes: bool) -> list[tuple[Any, PluginError | None]]:
        """The outcomes, when all of them count. Raises `Unavailable` when none does."""
        file = await self._opened()
        if writes:
            await file.begin()
        outcomes: list[tuple[Any, PluginError | None]] = []
        for job in jobs:
            try:
                # Who has gone meanwhile was told that it is not done, or not known.
                outcomes.append((None if job.future.done() else await job.work(file), None))
            except Unavailable:
                raise
            except PluginError as error:
                outcomes.append((None, error))
        if writes:
            await file.commit()
        return outcomes

    async def _opened(self) -> File:
        if self._file is not None:
            return self._file
        now = asyncio.get_running_loop().time()
        if now < self._again:
            raise Unavailable(self._refusal)
        from rosey_core.storage.file import open_file  # noqa: PLC0415  see above

        try:
            self._file = await open_file(self._path, self._clock, check=self._check)
        except Unavailable as error:
            self._again, self._refusal = now + RETRY, str(error)
            raise
        self._check = False
        return self._file

    async def _failed(self, why: str, *, writes: bool) -> None:
        if self._file is not None:
            if self._file.usable:
                with contextlib.suppress(Unavailable):
                    await self._file.undo()
            if not self._file.usable:
                self._check = self._file.damaged
                await self._close()
        if (writes or self._file is None) and why != self.fault:
            self.fault = why
            self._log.error("store.failed", reason=why)

    async def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            await file.close()


async def _do(file: File, *, plugin: str, operation: Operation) -> Any:
    return await file.do(plugin, operation)


async def _find(file: File, *, text: str, after: int) -> tuple[list[Place], int]:
    return await file.find(text, after)


async def _erase(file: File, *, places: Sequence[Place]) -> int:
    return await file.erase(places)


async def _checkpoint(file: File) -> None:
    await file.checkpoint()
