"""The plugin `database`: its life, its hooks, and what it does beside them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec

from rosey_core.api import Context, Manifest, NormalizedEvent, NotReady, PluginError, hookimpl
from rosey_plugins.database import forgetting, opening, upkeep
from rosey_plugins.database.questions import Questions
from rosey_plugins.database.reader import Reader
from rosey_plugins.database.settings import DatabaseSettings
from rosey_plugins.database.shapes import UserStats
from rosey_plugins.database.writer import Writer

INDEX_SECONDS = 1.0
BEAT_SECONDS = 10.0
TRIM_SECONDS = 900.0
RETRY = 5.0


class Database(Questions):
    """Keeps who was there, what was said and what played, and answers about it."""

    manifest = Manifest(
        name="database",
        summary="Keeps users, chat, media and numbers in a database, and answers about them.",
        settings=DatabaseSettings,
        asks=("chat.read", "user.read", "media.read", "channel.read"),
        may=("chat.pm",),
        keeps=(
            "for each user: when first and last seen, each time in the room, every line of chat, what the user "
            "queued, and private messages to the bot if they are switched on"
        ),
        shared=True,
        durable=True,
    )

    def __init__(self, settings: DatabaseSettings) -> None:
        del settings  # each channel has its own
        self._settings: dict[str, DatabaseSettings] = {}
        self._contexts: dict[str, Context] = {}
        self._instance = secrets.token_hex(8)
        self._writer: Writer | None = None
        self._lock: IO[bytes] | None = None
        self._stopping = False
        self._warned = False
        self._work: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @hookimpl
    async def start(self, ctx: Context) -> None:
        """Open the file. One that has to be checked for long is read meanwhile, and written once it passed."""
        path = ctx.directory / opening.FILE
        self._lock = self._lock or opening.hold(ctx.directory)
        if self._lock is None:
            raise NotReady("somebody restores the database just now", retry=RETRY)
        try:
            await self._begin(ctx, path)
        except BaseException:
            await self._let_go()  # a start that failed is not stopped
            raise

    async def _begin(self, ctx: Context, path: Path) -> None:
        if opening.empty(path):  # a disk that was full, or somebody's `touch`
            ctx.log.warning("database.empty", path=str(path), reason="it has no bytes, so a new one is begun in it")
        if await asyncio.to_thread(opening.examine, path):
            if (size := opening.size(path)) > opening.SMALL:
                self._reader = await Reader.open(path)
                self._closed = "it is checked, because its last end was no clean one"
                ctx.log.warning("database.checking", size_mib=size >> 20)
                self._work = {"check": partial(self._check_and_open, ctx, path)}
                self._busy(ctx)
                return
            await self._check(path)
        await self._open(ctx, path)

    async def _check_and_open(self, ctx: Context, path: Path) -> None:
        while True:
            try:
                await self._check(path)
                await self._open(ctx, path)
            except NotReady as error:
                self._closed = str(error)
                await asyncio.sleep(error.retry)
            except PluginError as error:
                self._closed = str(error)
                ctx.log.error("database.damaged", reason=str(error))  # noqa: TRY400  the text says it all
                self._work = {}
                return
            else:
                return

    async def _check(self, path: Path) -> None:
        with opening.translated(path):
            wrong = await asyncio.to_thread(opening.check, path, lambda: self._stopping)
        if wrong:
            raise opening.damaged(path, wrong[0])

    async def _open(self, ctx: Context, path: Path) -> None:
        others = await asyncio.to_thread(opening.prepare, path, self._instance, ctx.clock())
        with opening.translated(path):
            self._writer = writer = await Writer.open(path, self._changed)
            self._reader = self._reader or await Reader.open(path)
        self._closed = "it was stopped"
        self._warn(ctx, others)
        self._work = {
            "writer": writer.run,
            "index": partial(self._index, ctx, writer),
            "beat": partial(self._beat, ctx, writer),
            "trim": partial(self._trim, ctx, writer),
        }
        self._busy(ctx)

    def _busy(self, ctx: Context) -> None:
        """Begin all work that is not being done; nothing of it ends by itself.

        A plugin that runs beside this one may cancel every task there is.
        """
        for name, work in self._work.items():
            task = self._tasks.get(name)
            if task is None or task.done():
                if task is not None:
                    ctx.log.warning("database.task_ended", task=name)
                self._tasks[name] = ctx.spawn(work(), name)

    @hookimpl(history=True, stopped=True, own=True, server=True, shadow=True)
    async def on_events(self, ctx: Context, events: Sequence[NormalizedEvent]) -> None:
        """Write a list of events; it is on the disk when this returns."""
        settings = ctx.settings
        assert isinstance(settings, DatabaseSettings)  # noqa: S101  the host made them of the manifest's
        self._settings[ctx.channel_name] = settings
        self._contexts[ctx.channel_name] = ctx
        self._busy(ctx)
        if self._writer is None:
            raise NotReady(f"the database can't be written: {self._closed}", retry=RETRY)
        await self._writer.write(ctx.channel_name, events, private=settings.private_messages)

    @hookimpl
    async def stop(self) -> None:
        """End what is written just now, leave the file, and say that this was a clean end."""
        self._stopping = True
        await self._let_go()

    async def _let_go(self) -> None:
        self._work, self._tasks = {}, {}
        writer, self._writer = self._writer, None
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()
        if writer is not None:
            await writer.hurry()
            with contextlib.suppress(Exception):  # a full disk; the next start looks closer
                async with writer.transaction() as connection:
                    await connection.execute("DELETE FROM writers WHERE instance = ?", (self._instance,))
            await writer.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @hookimpl
    async def forget(self, ctx: Context, user: str) -> None:
        """Delete everything about a user, in all channels and down to the bytes."""
        await forgetting.forget(self._open_writer(), user)
        ctx.log.info("database.forgot")

    @hookimpl
    async def export(self, user: str) -> dict[str, list[dict[str, Any]]]:
        """Tell what is kept about a user."""
        return await forgetting.told(self._open_writer(), user)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise NotReady(f"the database can't be written: {self._closed}", retry=RETRY)
        return self._writer

    def _changed(self, channel: str, users: list[UserStats]) -> None:
        ctx = self._contexts.get(channel)
        if ctx is None:
            return
        with contextlib.suppress(PluginError):  # the bus is away; who asks gets it from the query
            for stats in users:
                ctx.publish("user_stats_updated", {"channel": channel} | msgspec.structs.asdict(stats))

    async def _index(self, ctx: Context, writer: Writer) -> None:
        while True:
            more = False
            with _tried(ctx, "index"):
                more = await upkeep.index_lines(writer)
            await asyncio.sleep(0 if more else INDEX_SECONDS)

    async def _trim(self, ctx: Context, writer: Writer) -> None:
        while True:
            with _tried(ctx, "trim"):
                await upkeep.trim(writer, dict(self._settings), ctx.clock())
            await asyncio.sleep(TRIM_SECONDS)

    async def _beat(self, ctx: Context, writer: Writer) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            with _tried(ctx, "beat"):
                await self.beat(ctx, writer)

    async def beat(self, ctx: Context, writer: Writer) -> None:
        """Give a sign of life, and look for others."""
        now = ctx.clock()
        async with writer.transaction() as connection:
            await connection.execute("UPDATE writers SET beat_at = ? WHERE instance = ?", (now, self._instance))
            rows = await connection.execute_fetchall(
                "SELECT instance, pid, host FROM writers WHERE instance <> ? AND beat_at > ?",
                (self._instance, now - opening.STALE),
            )
        self._warn(ctx, [opening.Other(*row) for row in rows])

    def _warn(self, ctx: Context, others: Sequence[opening.Other]) -> None:
        here = socket.gethostname()
        others = [other for other in others if other.host != here or opening.lives(other.pid)]
        if others and not self._warned:
            self._warned = True
            ctx.log.warning("database.second_copy", pid=others[0].pid, host=others[0].host)


@contextlib.contextmanager
def _tried(ctx: Context, what: str) -> Any:
    """Log what goes wrong; the next time may be better."""
    try:
        yield
    except Exception as error:
        ctx.log.warning("database.upkeep_failed", what=what, reason=str(error))
