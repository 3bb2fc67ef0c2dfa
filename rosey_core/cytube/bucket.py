"""CyTube's limiter of lines and of queueing, as arithmetic on times that are fed in.

One limiter counts a user's chat lines and private messages together, another what they queue; both begin anew
with each connection. The rule is CyTube 3.86's (sync `src/utilities.js`, `newRateLimiter`): after a silence
longer than `cooldown` the count begins at one; below `burst` everything passes; from there on only what comes
`interval` or more after the last that passed. What is dropped changes nothing. `/me` takes twice at one moment,
so once the burst is used up it passes only after the silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

_TICK = 0.001
"""CyTube reads the time in whole milliseconds."""


class Limit(NamedTuple):
    """How much may pass: `burst` at once, then one each `interval`; `cooldown` of silence gives the burst back.

    Times are seconds.
    """

    burst: float
    interval: float
    cooldown: float

    def guarded(self) -> Limit:
        """The same with a margin, for a sender that does not know exactly when its lines arrive."""
        margin = max(0.005, 0.05 * self.interval)
        return Limit(self.burst, self.interval + margin, self.cooldown + max(0.02, margin))


def per_second(burst: float, sustained: float, cooldown: float | None = None) -> Limit:
    """A limit in CyTube's words: `sustained` a second after the burst."""
    if sustained <= 0:
        return Limit(burst, math.inf, math.inf if cooldown is None else cooldown)
    return Limit(burst, 1 / sustained, burst / sustained if cooldown is None else cooldown)


CHAT = per_second(20, 10)
"""For every line, of everybody."""
QUEUE = per_second(3, 1)
QUEUE_MODERATOR = per_second(10, 2)

MODERATOR = 2
"""The least rank that a room's own flood limit spares."""


def chat_limit(options: Mapping[str, Any], rank: float) -> Limit:
    """The limit for a chat line of somebody of that rank, under the room's options."""
    if rank >= MODERATOR or not options.get("chat_antiflood"):
        return CHAT
    params = options.get("chat_antiflood_params")
    params = params if isinstance(params, Mapping) else {}
    burst, sustained = _number(params.get("burst"), 10), _number(params.get("sustained"), 2)
    limit = per_second(burst, sustained)
    return limit._replace(cooldown=_number(params.get("cooldown"), limit.cooldown))


def queue_limit(rank: float) -> Limit:
    """The limit for queueing of somebody of that rank."""
    return QUEUE_MODERATOR if rank >= MODERATOR else QUEUE


def _number(value: object, default: float) -> float:
    """The number that JavaScript makes of an option, or the limiter's own default."""
    usable = isinstance(value, int | float) and math.isfinite(value) and value >= 0
    return float(value) if usable and isinstance(value, int | float) else default


class Bucket:
    """One limiter. CyTube's side of it with plain limits, the sender's with guarded ones.

    Attributes:
        count: how many passed since the last silence, up to the burst.
        last: when the last one passed, in seconds.
    """

    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count = 0.0
        self.last = -math.inf

    def take(self, limit: Limit, now: float) -> bool:
        """Whether one passes at `now`, which counts it."""
        if now - self.last > limit.cooldown:
            self.count = 1
        elif self.count < limit.burst:
            self.count += 1
        elif now - self.last < limit.interval - 1e-9:
            return False
        self.last = now
        return True

    def wait(self, limit: Limit, now: float, cost: int = 1) -> float:
        """Seconds until `cost` pass at one moment; infinite when they never do."""
        if cost > max(limit.burst, 1):
            return math.inf
        if now - self.last > limit.cooldown or self.count + cost <= limit.burst:
            return 0.0
        needed = limit.cooldown + _TICK
        if cost == 1:
            needed = min(needed, limit.interval)
        return max(0.0, self.last + needed - now)

    def arrived(self, at: float) -> None:
        """What passed last may have arrived as late as `at`."""
        self.last = max(self.last, at)

    def full(self, limit: Limit, now: float) -> None:
        """The other side dropped one: its count is at the burst, and the last that passed was before `now`."""
        self.count = max(self.count, limit.burst)
        self.last = max(self.last, now)
