"""Which chat lines of a channel were told: what CyTube repeats at a join must not come twice. Pure."""

from __future__ import annotations

from collections.abc import Iterable

BACK_MS = 1_000
"""By so much CyTube's clock went back when a new line is older than the newest."""


class Seen:
    """How far a channel's chat is told: up to a moment of CyTube's clock, and of that moment which lines.

    A line before that moment was told, or came when nobody kept anything: it is not told later, out of order.

    Args:
        newest: the moment, in milliseconds; -1 for nothing yet.
        ids: the lines of that moment.
    """

    __slots__ = ("_ids", "newest")

    def __init__(self, newest: int, ids: Iterable[str]) -> None:
        self.newest = newest
        self._ids = set(ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """The lines of the newest moment."""
        return tuple(self._ids)

    def has(self, time_ms: int, identity: str) -> bool:
        """Whether a line was told."""
        return time_ms < self.newest or identity in self._ids

    def add(self, time_ms: int, identity: str) -> None:
        """A line is told."""
        # A clock that was set back, and not two lines that came in each other's place.
        if time_ms > self.newest or time_ms < self.newest - BACK_MS:
            self.newest = time_ms
            self._ids = {identity}
        elif time_ms == self.newest:
            self._ids.add(identity)
