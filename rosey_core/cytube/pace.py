"""How fast a connection may send: CyTube's limits applied to the moments at which lines may have arrived there.

The sender sees when a line left and when its answer came, CyTube counts when it arrived. A line arrived at the
latest one way back before its answer, and the next takes at least one way there; both ways together are about as
quick as the quickest round trip so far, less where trips differ much. So counting each line as arrived that much
before its answer keeps the distance at CyTube's end, and costs nothing where the network is steady.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rosey_core.cytube.bucket import CHAT, Bucket, Limit, chat_limit, queue_limit
from rosey_core.cytube.rule import LINE, QUEUE

if TYPE_CHECKING:
    from rosey_core.actions import Action
    from rosey_core.cytube.rule import Room, Rule


class Pace:
    """The limits of one connection; a new one begins from zero. Times are seconds of any one clock."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._buckets = {LINE: Bucket(), QUEUE: Bucket()}
        self._quickest = math.inf
        self._usual = 0.0

    def _limit(self, rule: Rule[Any]) -> Limit | None:
        match rule.limit:
            case "chat":
                return chat_limit(self._room.options, self._room.my_rank).guarded()
            case "pm":
                return CHAT.guarded()
            case "queue":
                return queue_limit(self._room.my_rank).guarded()
            case _:
                return None

    def wait(self, rule: Rule[Any], action: Action, now: float) -> float:
        """Seconds until CyTube lets it through; infinite if it never does."""
        limit = self._limit(rule)
        return 0.0 if limit is None else self._buckets[rule.kind].wait(limit, now, rule.cost(action))

    def left(self, rule: Rule[Any], action: Action, now: float) -> None:
        """It goes out now."""
        if limit := self._limit(rule):
            bucket = self._buckets[rule.kind]
            for _ in range(rule.cost(action)):
                bucket.take(limit, now)
            bucket.arrived(now)

    def answered(self, rule: Rule[Any], sent: float, now: float) -> None:
        """CyTube answered what left at `sent`."""
        if rule.kind == LINE:
            trip = now - sent
            self._usual += (trip - self._usual) / 8 if self._quickest < math.inf else trip
            self._quickest = min(self._quickest, trip)
            self._buckets[LINE].arrived(now - max(0.0, 2 * self._quickest - self._usual))

    def given_up(self, rule: Rule[Any], now: float) -> None:
        """No answer came: it may have arrived only now."""
        if rule.kind == LINE:
            self._buckets[LINE].arrived(now)

    def too_fast(self, rule: Rule[Any], now: float) -> None:
        """CyTube dropped it, as coming too fast."""
        if limit := self._limit(rule):
            self._buckets[rule.kind].full(limit, now)
