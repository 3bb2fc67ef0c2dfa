"""How often to knock: CyTube's limit on connections, and the wait after each failure.

CyTube 3.86 lets an address connect 5 times at once and then once in 10 seconds, whatever room it is for, and
refuses what comes faster. Owns those numbers and the arithmetic of waiting; what a failure means is `ending`'s.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from rosey_core.cytube.ending import Again, Ending

HOUR = 3600.0


class ConnectGate:
    """Lets connections to one server through, first come first served. All channels on that server share one.

    Args:
        burst: how many may go at once after a quiet time.
        every: seconds in which one more may go.
    """

    def __init__(self, burst: int = 5, every: float = 10.0) -> None:
        self._burst = float(burst)
        self._every = every
        self._tokens = float(burst)
        self._counted = 0.0
        self._turn = asyncio.Lock()

    async def take(self) -> None:
        """Wait until one more connection is within the limit, and count it."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            while (wait := self._wait(loop.time())) > 0:  # noqa: ASYNC110  time is the event, and `exhausted` may move it
                await asyncio.sleep(wait)
            self._tokens -= 1

    def exhausted(self) -> None:
        """The server says that we were too fast: it has counted connections that we do not know of."""
        self._wait(asyncio.get_running_loop().time())
        self._tokens = min(self._tokens, 0.0)

    def _wait(self, now: float) -> float:
        """Count what time has brought; the seconds until there is a whole token."""
        if self._every <= 0:
            self._tokens = self._burst
        else:
            self._tokens = min(self._burst, self._tokens + (now - self._counted) / self._every)
        self._counted = now
        # Adding many small parts leaves a token a hair short of whole; that must not become another round.
        return 0.0 if self._tokens > 1 - 1e-6 else (1 - self._tokens) * self._every


class Backoff:
    """How long to wait before the next attempt.

    The wait after a failure is drawn from zero to a ceiling that doubles (full jitter): when a site comes back,
    its bots do not all knock at once. It begins again after the bot has been in the room for a minute.

    Args:
        rejoin_after_kick: seconds after a moderator's kick, doubling up to an hour; 0 stays away.
        base: the first ceiling, in seconds.
        cap: the highest ceiling, in seconds.
        draw: a number between two others.
    """

    STEADY = 60.0
    FORGIVEN = HOUR

    def __init__(
        self,
        rejoin_after_kick: float,
        *,
        base: float = 2.0,
        cap: float = 60.0,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._rejoin = rejoin_after_kick
        self._base = base
        self._cap = cap
        self._draw = draw
        self._failures = 0
        self._limited = 0
        self._kicks = 0

    def stayed(self, seconds: float) -> None:
        """The bot was in the room for so long, and is out now."""
        if seconds >= self.STEADY:
            self._failures = self._limited = 0
        if seconds >= self.FORGIVEN:
            self._kicks = 0

    def after(self, ending: Ending) -> float | None:
        """Seconds until the next attempt; None for never."""
        match ending.again:
            case Again.NEVER:
                return None
            case Again.NOW:
                return 0.0
            case Again.KICKED:
                if not self._rejoin:
                    return None
                self._kicks += 1
                wait = min(self._rejoin * 2.0 ** min(self._kicks - 1, 30), max(HOUR, self._rejoin))
                return max(wait, ending.least)
            case Again.LIMITED:
                self._limited += 1
                least = min(ending.least * self._limited, HOUR)
                return least + self._draw(0.0, ending.least)
            case Again.SOON:
                self._failures += 1
                ceiling = min(self._base * 2.0 ** min(self._failures - 1, 30), self._cap)
                return ending.least + self._draw(0.0, ceiling)
