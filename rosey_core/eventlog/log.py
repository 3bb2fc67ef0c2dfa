"""The event log as the daemon has it: events come in one by one, are committed in groups, and go out to readers.

It owns what is not on disk yet, the newest events of each channel in memory, and what is said when the disk is full.
How it is kept on disk is the engine's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.clock import WallClock
from rosey_core.config import EventLogConfig
from rosey_core.envelope import NormalizedEvent
from rosey_core.errors import EventLogError, told
from rosey_core.eventlog.engine import Dead, Engine, Lost, Newest, Row
from rosey_core.eventlog.history import Seen
from rosey_core.eventlog.kept import ALWAYS, KEPT, user_of
from rosey_core.eventlog.pending import Pending
from rosey_core.eventlog.privacy import without
from rosey_core.eventlog.reader import Reader, Tail
from rosey_core.events import ChatMessage

LINGER = 0.005
"""Seconds that an event waits for others to be committed with."""
GROUP = 256
"""So many do not wait any longer."""
CROWDED = 5_000
"""So many wait for a disk that is slower than the room is fast."""
LAZY = 0.25
"""Seconds that a moved cursor waits for events to be committed with."""
AGAIN = 1.0
"""Seconds after which a commit that failed is tried again."""
TRIM_EVERY = 60.0
CLOSE_SECONDS = 1.0


class EventLog:
    """The log of all channels.

    Args:
        engine: keeps it.
        config: what is kept, and for how long.
        clock: tells the time.
        log: for what goes wrong.

    Attributes:
        fault: why it can't be written now; empty while it can.
        lost: events that could not be kept, since the start.
    """

    def __init__(
        self,
        engine: Engine,
        config: EventLogConfig,
        *,
        clock: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self.fault = ""
        self.lost = 0
        self._engine = engine
        self._clock = clock
        self._log = log
        self._config = config
        self._kinds = KEPT if config.private_messages else ALWAYS
        self._waiting = Pending()
        self._tails: dict[str, Tail] = defaultdict(lambda: Tail(0))
        self._readers: dict[tuple[str, str], Reader] = {}
        self._cursors: dict[tuple[str, str], int] = {}
        self._notes: dict[tuple[str, str], Lost] = {}
        self._seen: dict[str, Seen] = defaultdict(lambda: Seen(-1, ()))
        self._took = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[list[bool]] | None = None
        self._size = 0

    async def open(self) -> None:
        """Begin. Raises `ConfigError` for a log of a newer rosey, and `EventLogError` when the disk refuses."""
        opened = await self._engine.open()
        if opened.trouble:
            self._log.error("eventlog.damaged", reason=opened.trouble)
        self._tails.update((channel, Tail(head)) for channel, head in opened.heads.items())
        self._cursors = {(cursor.plugin, cursor.channel): cursor.seq for cursor in opened.cursors}
        self._notes = {(lost.plugin, lost.channel): lost for lost in opened.lost}
        self._seen.update((one.channel, Seen(one.time_ms, one.ids)) for one in opened.newest)
        self._size = await self._engine.size()

    # --- in ---

    def repeated(self, event: NormalizedEvent) -> bool:
        """Whether a chat line that CyTube repeats at a join was told before."""
        return self._seen[event.channel].has(event.data.time_ms, event.id)

    def append(self, event: NormalizedEvent, payload: bytes) -> None:
        """Keep an event, if it is of a kind that is kept; `payload` is its JSON. Never waits."""
        if event.event_type not in self._kinds:
            return
        data = event.data
        if type(data) is ChatMessage:
            self._seen[event.channel].add(data.time_ms, event.id)
        row = Row(event.channel, event.seq, event.event_type, user_of(data), self._clock(), payload)
        self.lost += self._waiting.add(row, event)
        self._soon(LINGER)

    @property
    def crowded(self) -> bool:
        """Whether events come faster than the disk takes them: who brings them should wait for `room`."""
        return len(self._waiting.rows) > CROWDED and not self.fault

    async def room(self) -> None:
        """Wait until the disk took what was too much. It does not wait for a disk that takes nothing."""
        while self.crowded:
            self._took.clear()
            await self._took.wait()

    async def claim(self, key: bytes) -> bool:
        """Whether this is the first time that `key` is claimed; when this returns it is on disk.

        Raises:
            EventLogError: it can't be written.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.claims.append((key, self._clock(), future))
        self._soon(LINGER)
        return await future

    # --- out ---

    def head(self, channel: str) -> int:
        """The last number of a channel that is on disk, or that a plugin had."""
        return max([self._tails[channel].head, *(seq for (_, name), seq in self._cursors.items() if name == channel)])

    def reader(self, plugin: str, channel: str, *, oldest: bool = False) -> Reader:
        """What a plugin reads in a channel, from where it was; a new one from now on, or from the `oldest`."""
        key = plugin, channel
        if (known := self._readers.get(key)) is not None:
            return known
        tail = self._tails[channel]
        new = key not in self._cursors
        if new:
            self._move(key, 0 if oldest else tail.head)
        reader = self._readers[key] = Reader(
            channel,
            self._cursors[key],
            tail=tail,
            read=self._engine.read,
            moved=lambda seq: self._moved(key, reader, seq),
            clock=self._clock,
            log=self._log.bind(plugin=plugin),
        )
        reader.new = new and not oldest
        reader.lost = self._notes.get(key)
        return reader

    def _moved(self, key: tuple[str, str], reader: Reader, seq: int) -> None:
        if self._readers.get(key) is reader:  # else its plugin was removed meanwhile, and left nothing behind
            self._move(key, seq)

    def _move(self, key: tuple[str, str], seq: int) -> None:
        self._cursors[key] = seq
        self._waiting.cursors[key] = seq
        self._soon(LAZY)

    def bury(self, dead: Dead) -> None:
        """Keep what a plugin failed at as a dead letter."""
        self._waiting.dead.append(dead)
        self._soon(LINGER)

    def raise_up(self, plugin: str, channel: str, seq: int) -> None:
        """A dead letter is none any more."""
        self._waiting.risen.append((plugin, channel, seq))
        self._soon(LINGER)

    async def dead(self, plugin: str) -> list[Dead]:
        """A plugin's dead letters."""
        with contextlib.suppress(EventLogError):  # those that are on disk can be told
            await self.flushed()
        return await self._engine.dead(plugin)

    async def retain(self, plugins: Collection[str]) -> None:
        """Forget what is kept for plugins that are not in the configuration any more."""
        self._cursors = {key: seq for key, seq in self._cursors.items() if key[0] in plugins}
        self._readers = {key: reader for key, reader in self._readers.items() if key[0] in plugins}
        self._notes = {key: lost for key, lost in self._notes.items() if key[0] in plugins}
        self._waiting.dead = [dead for dead in self._waiting.dead if dead.plugin in plugins]
        self._waiting.cursors = {key: seq for key, seq in self._waiting.cursors.items() if key[0] in plugins}
        with contextlib.suppress(EventLogError):  # the next start tries it again
            await self._engine.retain(plugins)

    # --- about somebody ---

    async def export(self, user: str) -> list[Any]:
        """Every event that `forget` would change or delete, as JSON values. Raises `EventLogError`."""
        found: list[Any] = []

        def look(row: Row) -> None:
            if without(row.kind, row.body, user) is not row.body:
                found.append(msgspec.json.decode(row.body))

        await self.flushed()
        await self._engine.about(user, look)
        return found

    async def forget(self, user: str) -> tuple[int, int]:
        """Take a user out of it: how many events went, and how many stay without the name.

        The file is written anew for that; meanwhile nothing is committed, so durable plugins wait.

        Raises:
            EventLogError: it can't be read or written, or somebody else reads it: it has to be done again then.
        """
        changed: list[Row] = []
        gone: list[tuple[str, int]] = []

        def look(row: Row) -> None:
            body = without(row.kind, row.body, user)
            if body is None:
                gone.append((row.channel, row.seq))
            elif body is not row.body:
                changed.append(row._replace(user="", body=body))

        await self.flushed()
        await self._engine.about(user, look)
        try:
            await self._engine.rewrite(changed, gone)
        finally:
            for tail in self._tails.values():
                tail.forget()
        return len(gone), len(changed)

    # --- committing ---

    def _soon(self, seconds: float) -> None:
        """Commit after so long, or sooner."""
        if self._writing is not None:
            return  # what waits is taken when it is through
        loop = asyncio.get_running_loop()
        if len(self._waiting.rows) >= GROUP:
            self._begin()
        elif self._timer is None or self._timer.when() > loop.time() + seconds:
            self._again_in(seconds)

    def _again_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin)

    def _begin(self) -> None:
        """Commit what waits. In no task: there is nothing of it that anybody could cancel halfway."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is None and self._waiting:
            taken, self._waiting = self._waiting, Pending()
            batch = taken.batch(self._clock(), self._newest(taken))
            self._writing = asyncio.ensure_future(self._engine.commit(batch))
            self._writing.add_done_callback(partial(self._written, taken))

    def _newest(self, taken: Pending) -> list[Newest]:
        """How far the chat is told in the channels in which somebody spoke."""
        spoken = {row.channel for row, event in taken.rows if type(event.data) is ChatMessage}
        return [Newest(channel, self._seen[channel].newest, self._seen[channel].ids) for channel in spoken]

    def _written(self, taken: Pending, future: asyncio.Future[list[bool]]) -> None:
        self._writing = None
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is not None:
            self._failed(error, taken)
            self._again_in(AGAIN)
        else:
            if self.fault:
                self._log.warning("eventlog.recovered", lost=self.lost)
                self.fault = ""
            self._committed(taken)
            for (_, _, claim), first in zip(taken.claims, future.result(), strict=True):
                if not claim.done():
                    claim.set_result(first)
            if self._waiting:
                self._soon(LINGER if self._waiting.rows or self._waiting.claims else LAZY)
        self._took.set()

    def _failed(self, error: BaseException, taken: Pending) -> None:
        """Keep all for the next try, but what somebody waits for."""
        reason = str(error) if isinstance(error, EventLogError) else told(error)
        if not self.fault:
            self._log.error("eventlog.fault", reason=reason)
        self.fault = reason
        _refuse(taken, reason)
        self._waiting = taken.and_then(self._waiting)

    def _committed(self, taken: Pending) -> None:
        grown = set()
        for row, event in taken.rows:
            self._tails[row.channel].append(event)
            grown.add(row.channel)
        for (_, channel), reader in self._readers.items():
            if channel in grown:
                reader.wake()

    # --- its own life ---

    async def trim(self) -> None:
        """Drop what is too old or too much, and let who had not read it yet know."""
        before = self._clock() - self._config.keep_days * 86_400
        for lost in await self._engine.trim(before, self._config.max_mib << 20):
            self._log.warning(
                "eventlog.trimmed", plugin=lost.plugin, channel=lost.channel, count=lost.number, last=lost.last
            )
            key = lost.plugin, lost.channel
            if (reader := self._readers.get(key)) is not None:
                reader.losing(lost)
            else:
                self._notes[key] = self._notes[key].and_then(lost) if key in self._notes else lost
        self._size = await self._engine.size()

    async def run(self) -> None:
        """Trim from time to time, until cancelled."""
        while True:
            await asyncio.sleep(TRIM_EVERY)
            try:
                await self.trim()
            except EventLogError as error:
                self._log.warning("eventlog.not_trimmed", reason=str(error))

    async def flushed(self) -> None:
        """Wait until everything so far is on disk. Raises `EventLogError` when it can't be written."""
        while self._writing is not None or self._waiting:
            self._took.clear()
            self._begin()
            await self._took.wait()
            if self.fault:
                raise EventLogError(self.fault)

    async def close(self) -> None:
        """Commit what waits, within a second, and end; who waits for a claim is refused it."""
        with contextlib.suppress(EventLogError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.flushed()
        if self._timer is not None:
            self._timer.cancel()
        _refuse(self._waiting, "rosey stops")
        self._waiting = Pending()
        await self._engine.close()

    def status(self) -> Mapping[str, Any]:
        """The log as `rosey status` shows it."""
        return {"fault": self.fault, "waiting": len(self._waiting.rows), "lost": self.lost, "bytes": self._size}


def _refuse(pending: Pending, reason: str) -> None:
    """Nobody waits for these claims any longer."""
    for _, _, claim in pending.claims:
        if not claim.done():
            claim.set_exception(EventLogError(reason))
