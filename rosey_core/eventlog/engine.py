"""What the event log needs of whoever keeps it: the narrow interface, and the values that cross it.

`sqlite` is the engine that rosey brings along. Another one (a replicated stream, on a cluster) passes the same
contract, which is `tests/test_eventlog_contract.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple, Protocol

import msgspec


class Row(NamedTuple):
    """An event as it is kept: `user` is whom it is about, in lower case; `written` is UTC seconds; `body` is JSON."""

    channel: str
    seq: int
    kind: str
    user: str
    written: float
    body: bytes


class Cursor(NamedTuple):
    """How far a plugin is in a channel: everything up to `seq` is handled."""

    plugin: str
    channel: str
    seq: int


class Newest(NamedTuple):
    """The newest chat line of a channel: CyTube's time in milliseconds, and the ids of the lines that have it."""

    channel: str
    time_ms: int
    ids: tuple[str, ...]


class Dead(NamedTuple):
    """An event that a plugin failed at, `tries` times; `when` is UTC seconds."""

    plugin: str
    channel: str
    seq: int
    kind: str
    tries: int
    error: str
    when: float
    body: bytes

    @property
    def id(self) -> str:
        """What people call it."""
        return f"{self.channel}-{self.seq}"


class Batch(msgspec.Struct):
    """What is written together, or not at all.

    Attributes:
        rows: new events, in order of `seq` in each channel.
        cursors: where plugins are now.
        newest: of channels in which somebody spoke.
        dead: what plugins failed at, after all tries.
        risen: dead letters that are none any more, by plugin, channel and seq.
        claims: ids of actions about to be done, each with its time.
    """

    rows: list[Row] = []
    cursors: list[Cursor] = []
    newest: list[Newest] = []
    dead: list[Dead] = []
    risen: list[tuple[str, str, int]] = []
    claims: list[tuple[bytes, float]] = []


class Lost(NamedTuple):
    """What was trimmed before a plugin had it: how many, from `first` to `last`."""

    plugin: str
    channel: str
    number: int
    first: int
    last: int

    def and_then(self, more: Lost) -> Lost:
        """Both together; `more` is what was trimmed later."""
        return self._replace(number=self.number + more.number, last=more.last)


class Opened(msgspec.Struct):
    """What an engine has when it is opened.

    Attributes:
        heads: the last `seq` of each channel.
        cursors: where each plugin is.
        lost: what plugins have to be told that they will not get.
        newest: the newest chat lines.
        trouble: what became of an earlier log that could not be used; empty if nothing.
    """

    heads: dict[str, int] = {}
    cursors: list[Cursor] = []
    lost: list[Lost] = []
    newest: list[Newest] = []
    trouble: str = ""


class Engine(Protocol):
    """Keeps events.

    Every method raises `EventLogError` for what a full or broken disk does; nothing of a commit is kept then.
    """

    async def open(self) -> Opened:
        """Begin. Raises `ConfigError` for a log that a newer rosey wrote."""

    def commit(self, batch: Batch) -> Awaitable[list[bool]]:
        """Write all of it or nothing; for each claim, whether it is the first of its id.

        What it returns is better no task: those can be cancelled by whoever cancels all that there are.
        """

    async def read(self, channel: str, after: int, limit: int) -> Sequence[Row]:
        """The next rows behind `after`, at most `limit`, in order."""

    async def trim(self, before: float, most: int) -> list[Lost]:
        """Drop what was written before that time, and the oldest events while the whole is over `most` bytes.

        What that takes from a plugin is noted for it until its cursor is past it, and returned.
        """

    async def retain(self, plugins: Collection[str]) -> None:
        """Forget cursors and dead letters of all plugins but these."""

    async def dead(self, plugin: str) -> list[Dead]:
        """The dead letters of a plugin, oldest first."""

    async def about(self, user: str, each: Callable[[Row], None]) -> None:
        """Show every row, and dead letter, in whose JSON a name stands, in any capitals."""

    async def rewrite(self, rows: Sequence[Row], gone: Sequence[tuple[str, int]]) -> None:
        """Put other bodies in the place of rows, and delete others, by channel and seq. No byte of them stays."""

    async def size(self) -> int:
        """Bytes in use."""

    async def close(self) -> None:
        """End; what was committed stays."""
