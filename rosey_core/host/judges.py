"""Judges: plugins that decide which chat lines other plugins may act on.

They are asked one after another in the operator's order, each of all lines that wait, 250 ms for all together; the
first verdict on a line counts. A judge that fails or is late has no opinion, unless the owner wrote
`on_silence = "stop"`. One that was late is not asked for a second, so that what waited meanwhile does not wait again;
after three times in a row, for a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from structlog.typing import FilteringBoundLogger

from rosey_core.envelope import NormalizedEvent, Verdict
from rosey_core.errors import PluginError
from rosey_core.host.home import Home

SECONDS = 0.25
AT_WORK = 10
"""Lines that a judge says something of in one question's time, when it is at work and not stuck."""
LAG = 0.01
PAUSE = 1.0
STRIKES = 3
REST = 60.0


class Judge:
    """One judge in one channel, and its breaker.

    Args:
        name: the plugin's name.
        home: the plugin; it has the hook `judge`.
        log: bound to the plugin's name and the channel's.

    Attributes:
        late: how often in a row it was late.
    """

    def __init__(self, name: str, home: Home, log: FilteringBoundLogger) -> None:
        self.name = name
        self._home = home
        self._log = log
        self.late = 0
        self._resting_until = 0.0

    def rest(self, now: float) -> float:
        """For how many seconds more it is not asked; 0 when it is. Loop time."""
        return max(0.0, self._resting_until - now)

    def answered(self, *, late: bool, now: float) -> None:
        """Count an answer."""
        if not late:
            self.late = 0
            return
        self._home.overran("judge")
        self.late += 1
        rest = REST if self.late >= STRIKES else PAUSE
        self._resting_until = now + rest
        if rest == REST:
            self._log.error("judge.resting", seconds=REST)

    async def ask(self, events: Sequence[NormalizedEvent], seconds: float) -> list[Verdict | str | None]:
        """What it says of the lines within `seconds` in which the loop was there for it; fewer when it says no more.

        Each is a verdict, `None` for no opinion, or why it failed there.
        """
        time = asyncio.get_running_loop().time
        said: list[Verdict | str | None] = []
        # In a task of its own: a judge that swallows its cancellation must not hold the channel.
        work = self._home.judge(events, said.append)
        task = asyncio.get_running_loop().create_task(work, name=f"judge {self.name}")
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            left = seconds
            while left > LAG:
                due = time() + left
                await asyncio.wait((task,), timeout=left)
                if task.done():
                    break
                left = min(left, time() - due)  # somebody else held up the loop for so long
        finally:
            task.cancel()
        if said:
            self.answered(late=False, now=time())
        elif task.done():
            error = None if task.cancelled() else task.exception()
            if not isinstance(error, PluginError):
                self._log.error("judge.failed", exc_info=error)
        elif seconds > SECONDS / 2:  # else those before it used the time up
            self.answered(late=True, now=time())
        return said[:]


async def ask_all(
    judges: Sequence[Judge], lines: Sequence[NormalizedEvent], *, on_silence: str
) -> list[Verdict | None]:
    """For each line the first verdict on it, or `None`."""
    time = asyncio.get_running_loop().time
    end = time() + SECONDS
    verdicts: list[Verdict | None] = [None] * len(lines)
    silent = [""] * len(lines)
    for judge in judges:
        unjudged = [number for number, verdict in enumerate(verdicts) if verdict is None]
        if not unjudged:
            break
        while unjudged:
            now = time()
            said: list[Verdict | str | None] = []
            if not judge.rest(now):
                said = await judge.ask([lines[number] for number in unjudged], max(2 * LAG, end - now))
            missing = ["no answer"] * (len(unjudged) - len(said))
            for number, answer in zip(unjudged, (*said, *missing), strict=True):
                if isinstance(answer, Verdict):
                    verdicts[number] = msgspec.structs.replace(answer, judge=judge.name)
                elif answer is not None:
                    silent[number] = silent[number] or judge.name
            # Who is at work is asked for the rest: no raid of lines gets past a judge by its mere number.
            unjudged = unjudged[len(said) :] if len(said) >= AT_WORK else []
            end = max(end, time() + SECONDS) if unjudged else end
    if on_silence == "stop":
        for number, name in enumerate(silent):
            if name and verdicts[number] is None:
                verdicts[number] = Verdict(stop=True, reason=f"{name} did not answer", judge=name)
    return verdicts
